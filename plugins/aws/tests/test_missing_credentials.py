"""Whether credentials are plausible is told from the environment and the disk alone."""

import pytest

from sidecar_aws.eum import Eum, EumConfig
from sidecar_aws.ses import Ses, SesConfig
from sidecar_aws.sns import Sns, SnsConfig
from sidecar_aws.sources import missing_credentials

BOTH = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture
def machine(tmp_path):
    """A function that puts files on an otherwise empty machine."""

    def put(path, text):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return str(target)

    put.root = tmp_path
    put.environ = {"HOME": str(tmp_path / "home")}
    return put


def test_an_empty_machine_lacks_both_keys(machine):
    assert missing_credentials(machine.environ, machine.root) == BOTH


def test_one_key_of_two_lacks_the_other(machine):
    environ = machine.environ | {"AWS_ACCESS_KEY_ID": "AKIA"}
    assert missing_credentials(environ, machine.root) == ("AWS_SECRET_ACCESS_KEY",)


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
        {"AWS_PROFILE": "codes"},
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token"},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"},
        {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://[fd00:ec2::254]"},
    ],
)
def test_a_source_that_the_environment_names_is_plausible(machine, environ):
    assert missing_credentials(machine.environ | environ, machine.root) == ()


@pytest.mark.parametrize("name", ["credentials", "config"])
def test_a_profile_file_at_home_is_plausible(machine, name):
    machine(f"home/.aws/{name}", "[default]")
    assert missing_credentials(machine.environ, machine.root) == ()


@pytest.mark.parametrize("name", ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"])
def test_a_profile_file_elsewhere_is_plausible_where_it_exists(machine, name):
    path = machine("etc/aws", "[default]")
    assert missing_credentials(machine.environ | {name: path}, machine.root) == ()
    assert missing_credentials(machine.environ | {name: path + "x"}, machine.root) == BOTH


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("sys/class/dmi/id/sys_vendor", "Amazon EC2\n"),
        ("sys/class/dmi/id/board_vendor", "Amazon EC2\n"),
        ("sys/hypervisor/uuid", "ec2e1916-9099-7caf-fd21-012345abcdef\n"),
    ],
)
def test_a_machine_of_ec2_may_have_a_role_unless_its_metadata_is_off(machine, path, text):
    machine(path, text)
    off = machine.environ | {"AWS_EC2_METADATA_DISABLED": "True"}
    assert missing_credentials(machine.environ, machine.root) == ()
    assert missing_credentials(off, machine.root) == BOTH


def test_another_vendors_machine_has_no_role(machine):
    machine("sys/class/dmi/id/sys_vendor", "QEMU\n")
    assert missing_credentials(machine.environ, machine.root) == BOTH


@pytest.mark.parametrize(
    ("provider", "settings"), [(Ses, {"sender": "no@example.org"}), (Sns, {}), (Eum, {})]
)
def test_configured_keys_lack_nothing(machine, provider, settings):
    environ = machine.environ | {"AWS_EC2_METADATA_DISABLED": "true"}
    bare = provider.Config(kind=provider.kind, **settings)
    keys = {"access_key_id": "AKIA", "secret_access_key": "secret"}
    told = provider.Config(kind=provider.kind, **settings, **keys)
    assert provider.missing(bare, environ) == BOTH
    assert provider.missing(told, environ) == ()


def test_each_config_is_the_kinds_own():
    assert (Ses.Config, Sns.Config, Eum.Config) == (SesConfig, SnsConfig, EumConfig)
