"""Play the same random requests against the API server in memory and a real one: `python -m tests.conformance`.

The real one is the dev cluster's, or that of FAIRLEAD_E2E_KUBECONFIG, which has the CRDs already. No operator may be at
work there on the namespaces `fairlead-conformance-…`: what it does would be taken for a disagreement.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import aiohttp
from tests.conformance.campaign import Campaign, connected, real_server
from tests.conformance.duel import Disagreement
from tests.conformance.players import Unfit


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--sequences", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the first one; the others follow")
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="sequences at a time")
    parser.add_argument("--all", action="store_true", help="tell every disagreement, not the first alone")
    parser.add_argument("--kinds", default="", metavar="PLURALS", help="only these, such as pods,jobs")
    options = parser.parse_args()
    if options.sequences < 1 or options.workers < 1:
        parser.error("--sequences, --workers: there has to be one at least")
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    count, seeds = options.sequences, range(options.seed, options.seed + options.sequences)
    started = time.monotonic()

    told = 0

    def progress(done: int, disagreed: list[Disagreement]) -> None:
        nonlocal told
        if len(disagreed) > told and (told == 0 or options.all):
            sys.stdout.write(f"\n{disagreed[told]}\n\n")
        if done % 100 == 0 or done == count or len(disagreed) > told:
            seconds = time.monotonic() - started
            sys.stdout.write(f"{done:6} sequences, {len(disagreed)} disagreements, {seconds:.0f} s\n")
            sys.stdout.flush()
        told = len(disagreed)

    campaign = Campaign(
        seeds, only=[each for each in options.kinds.split(",") if each], workers=options.workers, progress=progress
    )
    failures: list[BaseException] = []
    try:
        async with connected(real_server()) as session:
            await campaign.run(session)
    except* (Unfit, aiohttp.ClientError, TimeoutError) as failed:
        failures.extend(failed.exceptions)
    for failure in failures:
        sys.stderr.write(f"conformance: the real server failed: {type(failure).__name__}: {failure}\n")
    if failures:
        return 1
    sys.stdout.write(f"\n{campaign.table()}\n")
    if campaign.disagreements:
        seeds = " ".join(str(each.seed) for each in campaign.disagreements)
        sys.stdout.write(f"\nThe servers disagree in {len(campaign.disagreements)} sequences: {seeds}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
