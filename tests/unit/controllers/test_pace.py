from fairlead.controllers.pace import Lane, Pace


def test_what_costs_much_is_written_less_often() -> None:
    pace = Pace(shortest=1.0, longest=30.0, share=0.02)
    assert [pace.interval(cost) for cost in (0.0, 0.02, 0.1, 1.0)] == [1.0, 1.0, 5.0, 30.0]


def test_a_lane_without_costs_keeps_nobody() -> None:
    lane = Lane(30.0)
    assert [lane.place(7.0) for _ in range(3)] == [7.0] * 3


def test_each_begins_when_the_one_before_should_be_over() -> None:
    lane = Lane(30.0)
    lane.cost = 0.5
    assert [lane.place(7.0) for _ in range(3)] == [7.0, 7.5, 8.0]
    assert lane.place(20.0) == 20.0


def test_nobody_waits_longer_than_that() -> None:
    lane = Lane(30.0)
    lane.cost = 20.0
    assert [lane.place(0.0) for _ in range(4)] == [0.0, 20.0, 30.0, 30.0]


def test_a_cost_is_an_average() -> None:
    lane = Lane(30.0)
    for _ in range(100):
        lane.took(0.5)
    assert round(lane.cost, 3) == 0.5
    lane.took(8.5)
    assert round(lane.cost, 3) == 1.5


def test_an_outage_does_not_count_as_a_cost() -> None:
    lane = Lane(30.0)
    lane.took(3600.0)
    assert lane.cost <= 4.0
