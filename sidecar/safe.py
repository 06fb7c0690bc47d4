"""The secrets that sources gave: fetched beside each other, kept, and read again when asked.

Everything here may block, and is called from threads alone. A source runs in daemon threads of its
own: one that hangs holds up neither the configuration nor the end of the process.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from queue import Empty, SimpleQueue

from sidecar.config.faults import printable
from sidecar.config.references import Lack, Reference
from sidecar.delivery.whereabouts import name_of
from sidecar.interrupt import Interrupted
from sidecar.secret_source import NoSecret, SecretSource

TIMEOUT = 10.0
"""Seconds in which every secret must be there, the loading of a plugin's SDK included."""
AT_ONCE = 8
"""Calls of sources beside each other."""
LONGEST = 64 * 1024
"""Characters of a secret; AWS Secrets Manager has no longer ones."""
_REASON_LIMIT = 300

Secret = tuple[str, str]
"""A scheme and a name: what a source is asked for, whatever key of it is wanted."""
_Calls = SimpleQueue[tuple[Secret, SecretSource]]
Classes = Callable[[str], "type[SecretSource] | Lack"]
"""The class that serves a scheme, its plugin loaded; or why there is none."""


class Safe:
    """What was fetched so far. A secret that cannot be read again keeps its text.

    `timeout` is in seconds.
    """

    def __init__(self, classes: Classes, timeout: float = TIMEOUT) -> None:
        self._classes = classes
        self._timeout = timeout
        self._lock = threading.Lock()
        self._environ: Mapping[str, str] = {}
        self._sources: dict[str, SecretSource] = {}
        self._texts: dict[Secret, str] = {}
        self._good: dict[Reference, str] = {}
        self._lacks: dict[Secret, Lack] = {}
        self._due: set[Secret] = set()
        self._hanging: set[Secret] = set()

    def resolve(
        self, references: Collection[Reference], environ: Mapping[str, str]
    ) -> dict[Reference, str | Lack]:
        """The values of all `references`; fetches those that are new, expired, or lacking."""
        with self._lock:
            if environ != self._environ:  # another region, or other keys
                self._environ, self._sources = dict(environ), {}
                self._due |= self._texts.keys()
            wanted = dict.fromkeys((one.scheme, one.name) for one in references)
            self._fetch([one for one in wanted if one not in self._texts or one in self._due])
            return {reference: self._value(reference) for reference in references}

    def expire(self, references: Collection[Reference]) -> None:
        """Have these fetched anew by the next `resolve`."""
        self._due |= {(one.scheme, one.name) for one in references}

    def refresh(self, references: Collection[Reference]) -> bool:
        """Fetch these anew; whether one of them has another value than before."""
        before = {reference: self._value(reference) for reference in references}
        self.expire(references)
        return self.resolve(references, self._environ) != before

    def troubles(self, references: Collection[Reference]) -> dict[str, str]:
        """Why some of these cannot be had, or not read again, by how a person is told of them."""
        lacks = {one: self._lacks.get((one.scheme, one.name)) for one in references}
        for one in references:
            if isinstance(value := self._read(one), Lack):
                lacks[one] = value
        return {str(one): lack.reason for one, lack in lacks.items() if lack}

    def _value(self, reference: Reference) -> str | Lack:
        """What it is now; where that cannot be used, what it was before."""
        value = self._read(reference)
        if isinstance(value, Lack):
            return self._good.get(reference, value)
        self._good[reference] = value
        return value

    def _read(self, reference: Reference) -> str | Lack:
        secret = (reference.scheme, reference.name)
        text = self._texts.get(secret)
        if text is None:
            return self._lacks.get(secret, Lack("was not fetched"))
        return text if reference.key is None else _under(text, reference.key)

    def _fetch(self, secrets: list[Secret]) -> None:
        results: SimpleQueue[tuple[Secret, str | Lack]] = SimpleQueue()
        # A queue for each scheme: a source that hangs holds up no other's secrets.
        calls: defaultdict[str, _Calls] = defaultdict(SimpleQueue)
        sources = {scheme: self._source(scheme) for scheme in {one[0] for one in secrets}}
        answers: dict[Secret, str | Lack] = {}
        asked = 0
        end = time.monotonic() + self._timeout
        for secret in secrets:
            source = sources[secret[0]]
            if isinstance(source, Lack):
                answers[secret] = source
            elif secret not in self._hanging:
                self._due.discard(secret)  # whoever lets it expire from here on has it read again
                calls[secret[0]].put((secret, source))
                asked += 1
        for queue in calls.values():
            for _ in range(min(queue.qsize(), AT_ONCE)):
                work = (queue, results, end)
                threading.Thread(target=self._work, args=work, name="secrets", daemon=True).start()
        answers |= _gathered(results, asked, end)
        for secret in secrets:
            self._keep(secret, answers.get(secret, Lack(self._too_slow())))

    def _keep(self, secret: Secret, answer: str | Lack) -> None:
        if isinstance(answer, str):
            self._texts[secret] = answer
            self._lacks.pop(secret, None)
        else:
            self._lacks[secret] = answer

    def _work(
        self,
        calls: _Calls,
        results: SimpleQueue[tuple[Secret, str | Lack]],
        end: float,
    ) -> None:
        while True:
            try:
                secret, source = calls.get_nowait()
            except Empty:
                return
            if time.monotonic() >= end:
                continue  # nobody waits for it any more; the next round asks anew
            self._hanging.add(secret)
            answer = _asked(source, secret[1], end - time.monotonic())
            self._hanging.discard(secret)
            results.put((secret, answer))

    def _source(self, scheme: str) -> SecretSource | Lack:
        if scheme not in self._sources:
            found = self._classes(scheme)
            if isinstance(found, Lack):
                return found
            try:
                self._sources[scheme] = found(self._environ)
            except Interrupted:
                raise
            except BaseException as error:  # noqa: BLE001  # a plugin's SystemExit too
                return Lack(_why(error))
        return self._sources[scheme]

    def _too_slow(self) -> str:
        return f"was not there within {self._timeout:.0f} s: is its source to be reached from here?"


def _gathered(
    results: SimpleQueue[tuple[Secret, str | Lack]], many: int, end: float
) -> dict[Secret, str | Lack]:
    answers: dict[Secret, str | Lack] = {}
    while len(answers) < many:
        try:
            secret, answer = results.get(timeout=max(0.0, end - time.monotonic()))
        except Empty:
            break
        answers[secret] = answer
    return answers


def _asked(source: SecretSource, name: str, left: float) -> str | Lack:
    if left <= 0:
        return Lack("was not there in time: those before it took too long")
    try:
        text: object = source.fetch(name, timeout=left)
    except BaseException as error:  # noqa: BLE001  # SystemExit too: a thread's ends nothing
        return Lack(_why(error))
    if not isinstance(text, str):
        return Lack(f"is no text: the plugin returned {name_of(type(text))}")
    if len(text) > LONGEST:
        return Lack("is longer than 64 KiB")
    return _trimmed(text) or Lack("is empty")


def _why(error: BaseException) -> str:
    """A plugin's own reason, cut to size; of anything else the class: a text may hold a secret."""
    reason: object = getattr(error, "reason", None) if isinstance(error, NoSecret) else None
    if not isinstance(reason, str):
        return f"cannot be had: the plugin raised {name_of(type(error))}"
    plain = "".join(c if c.isprintable() else " " for c in reason[: 2 * _REASON_LIMIT])
    return " ".join(plain.split())[:_REASON_LIMIT]


def _under(text: str, key: str) -> str | Lack:
    """The text under `key` of the JSON object in `text`."""
    shown = printable(key)
    try:
        fields: object = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return Lack(f"is no JSON object, so it has no `{shown}`: make it one, or leave out `#...`")
    if key not in fields:
        return Lack(f"has no key `{shown}`: add it to the secret, or correct the name")
    value = fields[key]
    if not isinstance(value, str):
        return Lack(f"has no text under `{shown}`, but {_what(value)}: quote it in the secret")
    return _trimmed(value) or Lack(f"has nothing under `{shown}`")


def _what(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
    return "a list" if isinstance(value, list) else "a mapping"


def _trimmed(text: str) -> str:
    # As of a file: one trailing newline is an editor's.
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
