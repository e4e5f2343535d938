"""The API server in memory answers like the real one: a part of `make conformance`."""

from __future__ import annotations

from e2e.kubectl import Cluster
from tests.conformance.campaign import Campaign, connected


async def test_both_answer_the_same(api_server: Cluster) -> None:
    campaign = Campaign(range(1, 61), enough=1)
    async with connected(api_server.kubeconfig) as session:
        await campaign.run(session)
    assert not campaign.disagreements, campaign.disagreements[0]
    assert campaign.asked.total() > 1000
