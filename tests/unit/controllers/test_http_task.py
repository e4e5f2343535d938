"""`http` tasks in the operator: whose turn it is, whose Secrets they may read, and what a restart does to them."""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64encode
from typing import Any

import pytest
from tests.unit.controllers.errand_kit import a_run, errand, outcome, start, waits
from tests.unit.controllers.fake_api import FakeApi, looptime

from fairlead.clock import utc_now
from fairlead.controllers.errands import Errand
from fairlead.controllers.http_task import HttpTasks
from fairlead.controllers.refusals import OPERATOR_FORBIDDEN
from fairlead.controllers.run import Run
from fairlead.egress.connections import asker
from fairlead.egress.request import SecretReader
from fairlead.engine.model import FailureClass, WorkKind
from fairlead.engine.state import Outcome, Result
from fairlead.kube.errors import ApiError, Forbidden, ServerError
from fairlead.kube.resources import SECRETS

pytestmark = looptime

CANARY = "canary-5f0e1d"
NO_RIGHT = Forbidden(403, "Forbidden", 'User "system:serviceaccount:ns:loader" cannot get resource "secrets" in API …')
NO_IMPERSONATION = Forbidden(403, "Forbidden", 'User "fairlead" cannot impersonate resource "serviceaccounts" in API …')


class Sender:
    """Keeps every request under way until the test lets it go."""

    def __init__(self) -> None:
        self.sent: dict[str, dict[str, Any]] = {}
        self.most = 0
        self.under_way = 0
        self.closed = False
        self._answers: dict[str, asyncio.Event] = {}

    async def send(self, work: Any, *, key: str, resumed: bool, read_secret: SecretReader) -> Outcome:
        secrets = {each["name"]: await read_secret(each["secretName"], each["secretKey"]) for each in work["headers"]}
        self.sent[key] = {"resumed": resumed, "secrets": secrets, "asker": asker.get()}
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self._answers.setdefault(key, asyncio.Event()).wait()
        finally:
            self.under_way -= 1
        return Outcome(result=Result.SUCCEEDED, finished_at=utc_now(), values={})

    async def close(self) -> None:
        self.closed = True

    def answers(self, *nodes: str) -> None:
        for node in nodes:
            self._answers.setdefault(f"daily-{node}-1", asyncio.Event()).set()

    @property
    def nodes(self) -> list[str]:
        return [key.removeprefix("daily-").removesuffix("-1") for key in self.sent]


def work(method: str = "POST", *, idempotent: bool = False, secret: str = "", key: str = "token") -> dict[str, Any]:
    headers = [{"name": "Authorization", "value": None, "secretName": secret, "secretKey": key}] if secret else []
    return {"method": method, "idempotent": idempotent, "headers": headers}


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
async def api() -> FakeApi:
    api = FakeApi()
    api.put(SECRETS, secret_object("api", token=CANARY, binary=b"\xff\xfe"))
    return api


def secret_object(name: str, **data: str | bytes) -> dict[str, Any]:
    encoded = {
        key: b64encode(value if isinstance(value, bytes) else value.encode()).decode() for key, value in data.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "ns", "name": name}, "data": encoded}


def tasks(api: FakeApi, sender: Sender, **bounds: int) -> HttpTasks:
    return HttpTasks(api, sender, **bounds)  # type: ignore[arg-type]


def begin(
    carrier: HttpTasks, run: Run, node: str, of: dict[str, Any] | None = None, *, resumed: bool = False
) -> Errand:
    begun = errand(run, node, WorkKind.HTTP, of or work(), resumed=resumed)
    carrier.begin(begun)
    return begun


class TestWhoseTurnItIs:
    async def test_so_many_at_once(self, api: FakeApi, sender: Sender) -> None:
        run, carrier = a_run(), tasks(api, sender, in_flight=3)
        nodes = [f"n{number}" for number in range(10)]
        for node in nodes:
            begin(carrier, run, node)
        await asyncio.sleep(1)
        assert sender.nodes == nodes[:3]
        assert waits(run, "n3") == ["WaitingForRequests"]
        sender.answers("n1")
        await asyncio.sleep(1)
        assert sender.nodes == nodes[:4]
        assert waits(run, "n3") == ["WaitingForRequests", ""]
        sender.answers(*nodes)
        await asyncio.sleep(1)
        assert (sender.nodes, sender.most) == (nodes, 3)
        assert all(outcome(run, node) is not None for node in nodes)

    async def test_a_namespace_with_networks_of_its_own_has_a_sender_of_its_own(self, api: FakeApi) -> None:
        usual, own = Sender(), Sender()
        carrier = HttpTasks(api, usual, senders={"other": own})  # type: ignore[arg-type, dict-item]
        begin(carrier, a_run(), "a")
        begin(carrier, a_run(namespace="other"), "b")
        await asyncio.sleep(1)
        assert (usual.nodes, own.nodes) == (["a"], ["b"])
        await carrier.close()
        assert usual.closed
        assert own.closed

    async def test_names_are_looked_up_on_behalf_of_the_namespace_of_the_run(
        self, api: FakeApi, sender: Sender
    ) -> None:
        carrier = tasks(api, sender, in_flight=1)
        for number, namespace in enumerate(("one", "two", "one")):
            begin(carrier, a_run(namespace, namespace), f"n{number}")
            sender.answers(f"n{number}")
        await asyncio.sleep(1)
        askers = {key: sent["asker"] for key, sent in sender.sent.items()}
        assert askers == {"daily-n0-1": "one", "daily-n1-1": "two", "daily-n2-1": "one"}
        assert asker.get() == ""

    async def test_a_place_in_line_is_no_task(self, api: FakeApi, sender: Sender) -> None:
        run, carrier = a_run(), tasks(api, sender)
        before = len(asyncio.all_tasks())
        for number in range(1000):
            begin(carrier, run, f"n{number}")
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) - before == 32
        await carrier.close()

    async def test_one_namespace_does_not_take_it_all(self, api: FakeApi, sender: Sender) -> None:
        carrier = tasks(api, sender, in_flight=4, per_namespace=2)
        greedy, modest = a_run("u1", "greedy"), a_run("u2", "modest")
        for number in range(5):
            begin(carrier, greedy, f"g{number}")
        begin(carrier, modest, "m")
        await asyncio.sleep(1)
        assert sender.nodes == ["g0", "g1", "m"]
        await carrier.close()

    async def test_namespaces_take_turns(self, api: FakeApi, sender: Sender) -> None:
        carrier = tasks(api, sender, in_flight=1)
        for namespace in ("a", "b"):
            for number in range(3):
                begin(carrier, a_run(namespace, namespace), f"{namespace}{number}")
        for node in ("a0", "a1", "b0", "a2", "b1", "b2"):
            await asyncio.sleep(1)
            assert sender.nodes[-1] == node
            sender.answers(node)

    async def test_one_in_line_is_given_up(self, api: FakeApi, sender: Sender) -> None:
        run, carrier = a_run(), tasks(api, sender, in_flight=1)
        begin(carrier, run, "a")
        second = begin(carrier, run, "b")
        carrier.cancel(second)
        sender.answers("a")
        await asyncio.sleep(1)
        assert sender.nodes == ["a"]

    async def test_one_under_way_is_given_up(self, api: FakeApi, sender: Sender) -> None:
        run, carrier = a_run(), tasks(api, sender, in_flight=1)
        first = begin(carrier, run, "a")
        begin(carrier, run, "b")
        await asyncio.sleep(1)
        carrier.cancel(first)
        await asyncio.sleep(1)
        assert (sender.nodes, sender.under_way) == (["a", "b"], 1)
        assert outcome(run, "a") is None
        await carrier.close()

    async def test_a_resumed_one_is_sent_as_such(self, api: FakeApi, sender: Sender) -> None:
        carrier = tasks(api, sender)
        begin(carrier, a_run(), "a", resumed=True)
        await asyncio.sleep(1)
        assert sender.sent["daily-a-1"]["resumed"] is True
        await carrier.close()


class TestSecrets:
    async def test_they_are_read_as_the_service_account_of_the_run(self, api: FakeApi, sender: Sender) -> None:
        carrier = tasks(api, sender)
        begin(carrier, a_run(), "a", work(secret="api"))
        await asyncio.sleep(1)
        assert sender.sent["daily-a-1"]["secrets"] == {"Authorization": CANARY}
        assert [(each.verb, each.plural, each.name, each.actor) for each in api.asked] == [
            ("get", "secrets", "api", "ns/loader")
        ]
        await carrier.close()

    async def test_a_task_without_any_reads_none(self, api: FakeApi, sender: Sender) -> None:
        carrier = tasks(api, sender)
        begin(carrier, a_run(), "a")
        await asyncio.sleep(1)
        assert api.asked == []
        await carrier.close()

    @pytest.mark.parametrize(
        ("name", "key", "reason", "message"),
        [
            ("nope", "token", "SecretNotFound", "there is no Secret 'nope'"),
            ("api", "nope", "SecretNotFound", "Secret 'api' has no key 'nope'"),
            ("api", "binary", "SecretInvalid", "key 'binary' of Secret 'api' is no text"),
            ("..", "token", "SecretInvalid", "secrets: ns/.. would address something else"),
        ],
    )
    async def test_what_cannot_be_had(
        self, api: FakeApi, sender: Sender, name: str, key: str, reason: str, message: str
    ) -> None:
        run = a_run()
        begin(tasks(api, sender), run, "a", work(secret=name, key=key))
        await asyncio.sleep(1)
        ended = outcome(run, "a")
        assert ended is not None
        assert (ended.failure_class, ended.reason) == (FailureClass.CONFIGURATION, reason)
        assert message in ended.message
        assert sender.sent == {}

    async def test_a_value_that_is_no_text_is_not_told(
        self, api: FakeApi, sender: Sender, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        run = a_run()
        begin(tasks(api, sender), run, "a", work(secret="api", key="binary"))
        await asyncio.sleep(1)
        told = json.dumps(run.inbox, default=repr) + caplog.text
        assert "is no text" in told
        assert b64encode(b"\xff\xfe").decode() not in told
        assert "xff" not in told

    async def test_what_the_account_must_not_read(self, api: FakeApi, sender: Sender) -> None:
        run = a_run()
        api.fail(NO_RIGHT, "get", SECRETS)
        begin(tasks(api, sender), run, "a", work(secret="api"))
        await asyncio.sleep(1)
        ended = outcome(run, "a")
        assert ended is not None
        assert (ended.failure_class, ended.reason) == (FailureClass.CONFIGURATION, "SecretForbidden")
        assert "system:serviceaccount:ns:loader" in ended.message

    @pytest.mark.parametrize(
        ("error", "reason", "stalled"),
        [(NO_IMPERSONATION, OPERATOR_FORBIDDEN, True), (ServerError(500, "", "x"), "ApiUnavailable", False)],
        ids=["403", "500"],
    )
    async def test_what_passes_is_waited_for_without_a_place(
        self, api: FakeApi, sender: Sender, error: ApiError, reason: str, stalled: bool
    ) -> None:
        run, carrier = a_run(), tasks(api, sender, in_flight=1)
        trouble = api.fail(error, "get", SECRETS)
        begin(carrier, run, "a", work(secret="api"))
        begin(carrier, run, "b")
        await asyncio.sleep(8)
        assert sender.nodes == ["b"]
        assert waits(run, "a") == [reason]
        assert bool(run.stalled) is stalled
        sender.answers("b")
        trouble.lift()
        await asyncio.sleep(8)
        assert sender.nodes == ["b", "a"]
        assert (waits(run, "a"), run.stalled) == ([reason, ""], "")
        await carrier.close()

    async def test_one_that_waits_for_them_is_given_up(self, api: FakeApi, sender: Sender) -> None:
        carrier = tasks(api, sender)
        trouble = api.fail(ServerError(500, "", "x"), "get", SECRETS)
        begun = begin(carrier, a_run(), "a", work(secret="api"))
        await asyncio.sleep(1)
        carrier.cancel(begun)
        trouble.lift()
        await asyncio.sleep(20)
        assert sender.sent == {}

    async def test_no_value_is_logged_or_told(
        self, api: FakeApi, sender: Sender, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caplog.set_level(logging.DEBUG)

        async def break_down(*_: Any, read_secret: SecretReader, **__: Any) -> Outcome:
            assert await read_secret("api", "token") == CANARY
            raise RuntimeError("a bug")

        monkeypatch.setattr(sender, "send", break_down)
        run, carrier = a_run(), tasks(api, sender)
        begin(carrier, run, "a", work(secret="api"))
        await asyncio.sleep(1)
        assert "a bug" in caplog.text
        assert CANARY not in caplog.text
        assert CANARY not in json.dumps(run.inbox, default=repr)


class TestTheEndOfTheOperator:
    async def test_what_must_be_sent_once_is_waited_for(self, api: FakeApi, sender: Sender) -> None:
        run, carrier = a_run(), tasks(api, sender)
        begin(carrier, run, "a")
        await asyncio.sleep(1)
        settling = asyncio.create_task(carrier.settle(10))
        await asyncio.sleep(5)
        assert not settling.done()
        sender.answers("a")
        await asyncio.sleep(1)
        assert settling.done()
        assert outcome(run, "a") is not None

    async def test_not_for_ever(self, api: FakeApi, sender: Sender) -> None:
        carrier = tasks(api, sender)
        begin(carrier, a_run(), "a")
        await asyncio.sleep(1)
        async with asyncio.timeout(11):
            await carrier.settle(10)
        await carrier.close()
        assert (sender.under_way, sender.closed) == (0, True)

    @pytest.mark.parametrize("of", [work("GET"), work("POST", idempotent=True)], ids=["GET", "idempotent"])
    async def test_what_may_be_sent_twice_is_not(self, api: FakeApi, sender: Sender, of: dict[str, Any]) -> None:
        run, carrier = a_run(), tasks(api, sender)
        begin(carrier, run, "a", of)
        await asyncio.sleep(1)
        async with asyncio.timeout(0.1):
            await carrier.settle(10)
        await carrier.close()
        assert run.inbox == []

    async def test_what_was_not_sent_is_left_to_an_attempt_of_our_successor(self, api: FakeApi, sender: Sender) -> None:
        run, carrier = a_run(), tasks(api, sender, in_flight=1)
        begin(carrier, run, "a", work("GET"))
        begin(carrier, run, "b")
        begin(carrier, run, "c", work("GET"))
        await carrier.settle(10)
        begin(carrier, run, "d")
        for node in ("b", "d"):
            ended = outcome(run, node)
            assert ended is not None
            assert (ended.failure_class, ended.reason) == (FailureClass.INFRASTRUCTURE, "NotSent")
        assert outcome(run, "c") is None  # that one is simply sent again
        await carrier.close()

    async def test_what_may_have_been_sent_before_us_stays_in_doubt(self, api: FakeApi, sender: Sender) -> None:
        run, carrier = a_run(), tasks(api, sender)
        await carrier.settle(10)
        begin(carrier, run, "a", resumed=True)
        assert run.inbox == []


class TestAnotherReplica:
    async def test_what_waits_and_must_be_sent_once_is_left_to_it(self, api: FakeApi, sender: Sender) -> None:
        run, carrier = a_run(), tasks(api, sender, in_flight=1)
        errands = [begin(carrier, run, node) for node in ("under-way", "waits")]
        await asyncio.sleep(1)
        for each in errands:
            carrier.withdraw(each)
        ended = outcome(run, "waits")
        assert ended is not None
        assert (ended.failure_class, ended.reason) == (FailureClass.INFRASTRUCTURE, "NotSent")
        assert outcome(run, "under-way") is None
        sender.answers("under-way")
        await asyncio.sleep(1)
        assert sender.nodes == ["under-way"]
        assert outcome(run, "under-way") is not None
        await carrier.close()

    async def test_so_is_what_waits_for_its_secrets(self, api: FakeApi, sender: Sender) -> None:
        run, carrier = a_run(), tasks(api, sender)
        api.fail(ServerError(500, "InternalError", "etcd"), "get", SECRETS)
        errand = begin(carrier, run, "a", work(secret="etl"))
        await asyncio.sleep(1)
        carrier.withdraw(errand)
        await asyncio.sleep(30)
        assert sender.nodes == []
        assert (ended := outcome(run, "a")) is not None
        assert ended.reason == "NotSent"

    @pytest.mark.parametrize(
        ("of", "resumed", "once"),
        [
            (work("POST"), False, True),
            (work("POST"), True, False),  # it is in doubt already
            (work("POST", idempotent=True), False, False),
            (work("GET"), False, False),
        ],
    )
    def test_which_must_be_sent_once(
        self, api: FakeApi, sender: Sender, of: dict[str, Any], resumed: bool, once: bool
    ) -> None:
        assert tasks(api, sender).is_unrepeatable(start("a", WorkKind.HTTP, of, resumed=resumed)) is once
