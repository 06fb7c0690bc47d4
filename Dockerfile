# syntax=docker/dockerfile:1
# The image carries only the SDKs that it uses:
#   docker build --build-arg PLUGINS="aws twilio smtp" -t otp-sidecar .
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ARG PLUGINS="aws sendgrid twilio smtp"
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY sidecar ./sidecar
COPY plugins ./plugins
# Our own wheels first, then what they need at the versions that constraints.txt pins. PLUGINS is a
# list of words, so it is not quoted.
# hadolint ignore=SC2046
RUN python -m venv /opt/otp-sidecar \
    && pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
        $(for plugin in ${PLUGINS}; do echo "./plugins/${plugin}"; done) \
    && sed -E 's/ *\\$//; /^ *--hash/d' constraints.txt > /tmp/pins.txt \
    && /opt/otp-sidecar/bin/pip install --no-cache-dir --constraint /tmp/pins.txt /wheels/*.whl \
    && /opt/otp-sidecar/bin/pip uninstall --yes pip

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="OTP Sidecar" \
      org.opencontainers.image.description="One-time codes get through, whichever provider has a bad day." \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 65532 --user-group --no-create-home --shell /usr/sbin/nologin sidecar \
    && install --directory --owner 65532 --group 65532 --mode 0700 /data
# The base image has no bytecode of the standard library, and nobody may write it later: every start
# would compile it anew, half a second, and every health check another tenth. About 12 MB.
RUN python -m compileall -q -j 0 \
        -x '/(site-packages|idlelib|lib2to3|ensurepip|tkinter|turtledemo|pydoc_data)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /opt/otp-sidecar /opt/otp-sidecar
ENV PATH=/opt/otp-sidecar/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OTP_SIDECAR_ENV=production \
    OTP_SIDECAR_CONFIG=/etc/otp-sidecar/providers.yaml
USER 65532:65532
WORKDIR /
VOLUME /data
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["otp-sidecar", "health"]
ENTRYPOINT ["otp-sidecar"]
CMD ["run"]
