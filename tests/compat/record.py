"""Recording what this release leaves in a cluster: `python -m tests.compat.record`.

Done once for each release, before it is published; what is recorded is never changed afterwards. Each scene becomes a
file in a folder named after the release.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.compat.scenes import SCENES, Scene
from tests.compat.stage import NAME, NAMESPACE, do, end_of, objects_of, program_of, to_its_end

from fairlead import __version__
from fairlead.kube.resources import WORKFLOWS, WORKFLOWTEMPLATES
from fairlead.testing.cluster import Cluster
from fairlead.testing.loop import run

FOLDER = Path(__file__).resolve().parent


async def recorded(scene: Scene) -> dict[str, Any]:
    """Play a scene; return what there was at its moment, and what became of it."""
    cluster = Cluster(program_of(scene.pods), seed=1)
    cluster.server._store._names = 10**9  # so that no UID is one that another cluster gives
    host = cluster.host()
    for name, spec in scene.templates.items():
        cluster.put(WORKFLOWTEMPLATES, {"metadata": {"name": name}, "spec": spec}, NAMESPACE)
    cluster.put(WORKFLOWS, {"metadata": {"name": NAME}, "spec": scene.spec}, NAMESPACE)
    if scene.seconds:
        host.start()
        settled = scene.seconds - 10 if scene.before else scene.seconds
        await asyncio.sleep(settled)
        await do(cluster, scene.before)
        await asyncio.sleep(scene.seconds - asyncio.get_running_loop().time())
        host.crash()
    moment, objects = asyncio.get_running_loop().time(), objects_of(cluster)
    await to_its_end(cluster, host, scene.then)
    end = end_of(cluster)
    await cluster.close()
    return {
        "release": __version__,
        "seconds": moment,
        "pods": scene.pods,
        "then": scene.then,
        "end": end,
        "objects": objects,
    }


def _text(found: dict[str, Any]) -> str:
    """Return the text of a file: a line for each object."""
    parts = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in found.items()][:-1]
    objects = ",\n".join(json.dumps(each, ensure_ascii=False) for each in found["objects"])
    return "{" + ",\n".join(parts) + ',\n"objects": [\n' + objects + "\n]}"


def main() -> int:
    """Record all scenes, unless this release has been recorded."""
    folder = FOLDER / f"v{__version__}"
    if folder.exists() and "--again" not in sys.argv:
        print(f"{folder} is there: what was published does not change (--again for one that was not)", file=sys.stderr)
        return 1
    folder.mkdir(exist_ok=True)
    for name, scene in SCENES.items():
        found = run(recorded(scene), stall_at=10**6)
        text = _text(found)
        (folder / f"{name.replace(' ', '-')}.json").write_text(text + "\n", encoding="utf-8")
        print(f"{name}: {found['end']['phase']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
