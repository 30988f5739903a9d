"""Images on a real engine: built, found, refreshed, removed, and what their failures say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from provider_client import Client, Map, secret, urn

pytestmark = pytest.mark.integration


@pytest.fixture
def context(image: str, tmp_path: Path) -> Path:
    """A build context whose image carries the build argument X as a label."""
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nARG X\nLABEL x=$X\n")
    return tmp_path


def built(prefix: str, context: Path, **arguments: Any) -> Map:
    """The inputs of an image built from *context*."""
    build = {"context": str(context), "buildArgs": arguments, "forceRemove": True}
    return {"name": f"{prefix}/built:1", "build": build}


def create_error(client: Client, news: Map) -> str:
    """What a failing create says."""
    with pytest.raises(grpc.RpcError) as error:
        client.create("RemoteImage", news)
    return str(error.value.details())  # type: ignore[attr-defined]


def test_image_is_built_with_its_arguments(client: Client, api: Any, prefix: str, context: Path) -> None:
    """The image is there under its name and every further tag, built with the arguments given."""
    news = built(prefix, context, X="7")
    news["build"] |= {"tags": [f"{prefix}/other:2"]}
    made = client.create("RemoteImage", news)
    seen = api.inspect_image(f"{prefix}/other:2")
    assert seen["Config"]["Labels"] == {"x": "7"}
    assert made["properties"]["imageId"] == seen["Id"]
    assert made["id"] == seen["Id"] + news["name"]


def test_image_that_is_there_is_not_pulled(client: Client, image: str) -> None:
    """A name that the engine has is taken as it is; no registry is asked."""
    made = client.create("RemoteImage", {"name": image, "keepLocally": True})
    assert made["properties"]["repoDigest"] == ""


def test_image_that_cannot_be_had_is_named(client: Client) -> None:
    """A failed pull says which image, and why."""
    assert "image 127.0.0.1:1/none:1 is not on the engine" in create_error(
        client, {"name": "127.0.0.1:1/none:1"}
    )


def test_failed_step_is_shown_with_its_output(client: Client, prefix: str, context: Path, image: str) -> None:
    """A failed build names the step and repeats the last lines that it wrote, without secrets."""
    dockerfile = f"FROM {image}\nARG TOKEN\nRUN echo trying $TOKEN; echo it is broken; exit 4\n"
    (context / "Dockerfile").write_text(dockerfile)
    text = create_error(client, built(prefix, context, TOKEN=secret("hunter2")))
    assert f"image {prefix}/built:1: cannot be built" in text
    assert "Step 3/3 : RUN echo trying" in text
    assert "it is broken" in text
    assert "non-zero code: 4" in text
    assert "hunter2" not in text


def test_missing_context_is_named(client: Client, prefix: str, tmp_path: Path) -> None:
    """A build context that is not there is told before the engine is asked."""
    text = create_error(client, built(prefix, tmp_path / "nowhere"))
    assert f"the build context {tmp_path}/nowhere is not a folder" in text


def test_missing_dockerfile_is_told(client: Client, prefix: str, tmp_path: Path) -> None:
    """A context without its Dockerfile fails with the file's name."""
    assert "Dockerfile" in create_error(client, built(prefix, tmp_path))


def test_image_removed_by_hand_reads_as_nothing(client: Client, api: Any, prefix: str, context: Path) -> None:
    """A refresh drops what is gone; deleting it is fine."""
    made = client.create("RemoteImage", built(prefix, context))
    api.remove_image(made["properties"]["name"])
    assert client.read("RemoteImage", made["id"], client.check("RemoteImage", built(prefix, context))) == {}
    client.delete("RemoteImage", made)


def test_kept_image_stays(client: Client, api: Any, prefix: str, context: Path) -> None:
    """With `keepLocally` a delete leaves the image."""
    made = client.create("RemoteImage", built(prefix, context) | {"keepLocally": True})
    client.delete("RemoteImage", made)
    assert api.inspect_image(made["properties"]["name"])["Id"] == made["properties"]["imageId"]


def test_name_that_moved_on_is_left_to_the_newer_image(
    client: Client, api: Any, prefix: str, context: Path
) -> None:
    """A replacement builds under the name first; deleting the old image then must not take the name away."""
    old = client.create("RemoteImage", built(prefix, context, X="1"))
    new = client.create("RemoteImage", built(prefix, context, X="2"))
    client.delete("RemoteImage", old)
    assert api.inspect_image(new["properties"]["name"])["Id"] == new["properties"]["imageId"]
    assert old["properties"]["imageId"] not in [image["Id"] for image in api.images()]


def test_image_in_use_is_told_with_its_container(
    client: Client, api: Any, prefix: str, context: Path
) -> None:
    """An image that a container uses is not removed; the error names the container and a way out."""
    made = client.create("RemoteImage", built(prefix, context))
    news = {"name": f"{prefix}-c", "image": made["properties"]["name"], "command": ["sleep", "60"]}
    container = client.create("Container", news)
    with pytest.raises(grpc.RpcError) as error:
        client.delete("RemoteImage", made)
    text = str(error.value.details())  # type: ignore[attr-defined]
    assert f"image {prefix}/built:1: cannot be removed" in text
    assert container["id"][:12] in text
    assert "keepLocally" in text


def test_how_it_is_removed_changes_in_place(client: Client, prefix: str, context: Path) -> None:
    """`keepLocally` is an update that touches no image."""
    news = built(prefix, context)
    made = client.create("RemoteImage", news)
    old, new = (client.check("RemoteImage", inputs) for inputs in (news, news | {"keepLocally": True}))
    assert client.diff("RemoteImage", old, new)["detailedDiff"] == {"keepLocally": {}}
    request = {"id": made["id"], "urn": urn("RemoteImage"), "olds": made["properties"], "oldInputs": old}
    properties = client.call("Update", request | {"news": new})["properties"]
    assert properties == made["properties"] | {"keepLocally": True}
