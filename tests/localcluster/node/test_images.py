"""Which image starts how."""

import sys

import pytest

from localcluster.node.images import (
    Catalogue,
    Image,
    InvalidCatalogue,
    UnknownImage,
    command_line,
    read_catalogues,
    short_name,
)


@pytest.mark.parametrize(
    ("image", "short"),
    [
        ("busybox", "busybox"),
        ("docker.io/library/busybox:1.36", "busybox"),
        ("registry.k8s.io/pause:3.10", "pause"),
        ("example.org:5000/team/app:v1@sha256:00", "example.org:5000/team/app"),
    ],
)
def test_short_names(image: str, short: str) -> None:
    assert short_name(image) == short


def test_a_file_comes_before_the_built_in_images(tmp_path) -> None:
    file = tmp_path / "images.yaml"
    file.write_text(
        "images:\n"
        "- {match: 'kubeless/python*', command: ['{python}', -m, serve], args: ['{folder}/x'], env: {A: 1}}\n"
        "- {match: busybox, args: [echo]}\n"
    )
    catalogue = Catalogue(read_catalogues([file]))
    image = catalogue.find("kubeless/python3.11:latest")
    assert image.command == (sys.executable, "-m", "serve")
    assert image.args == (f"{tmp_path}/x",)
    assert image.env == {"A": "1"}
    assert catalogue.find("busybox:1").args == ("echo",)
    assert catalogue.find("alpine").args == ("sh",)


def test_an_unknown_image_says_what_is_known() -> None:
    with pytest.raises(UnknownImage, match=r'image "nginx:1.25" is not known.*localcluster/echo.*busybox'):
        Catalogue().find("nginx:1.25")


def test_on_a_foreign_cluster_well_known_names_are_no_programs_of_this_machine() -> None:
    catalogue = Catalogue(host_images=False)
    for name in ("busybox", "python:3.13", "docker.io/library/debian", "registry.k8s.io/pause:3.10"):
        with pytest.raises(UnknownImage, match="--host-images"):
            catalogue.find(name)
    assert catalogue.find("localcluster/echo").match == "localcluster/echo"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a mapping with a list 'images'"),
        ("images: [{command: [a]}]", r"images\[0\]: expected a mapping with 'match'"),
        ("images: [{match: a, cmd: [a]}]", r"images\[0\]: unknown cmd"),
        ("images: [{match: a, command: sh -c x}]", "command must be a list"),
        ("images: [", "while parsing"),
    ],
)
def test_bad_catalogues_say_what_is_wrong(tmp_path, text: str, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(InvalidCatalogue, match=message):
        Catalogue(read_catalogues([file]))


def test_an_image_may_name_the_pods_address() -> None:
    image = Image("x", ("serve", "{pod_ip}:80"), ("{pod_ip}",), {"BIND": "{pod_ip}"}).at("127.9.0.2")
    assert (image.command, image.args, image.env) == (("serve", "127.9.0.2:80"), ("127.9.0.2",), {"BIND": "127.9.0.2"})


def test_command_and_args_replace_the_images_as_in_kubernetes() -> None:
    image = Image("x", ("entry",), ("default",))
    assert command_line(image, [], []) == ["entry", "default"]
    assert command_line(image, [], ["a"]) == ["entry", "a"]
    assert command_line(image, ["c"], []) == ["c"]
    assert command_line(image, ["c"], ["a"]) == ["c", "a"]
