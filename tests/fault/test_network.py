"""A network between app and database that cuts, stalls, forgets, and comes back."""

from __future__ import annotations

from tests.fault.streams import Wanted, read_snapshot
from tests.waiting import until


def test_a_network_that_is_cut_and_comes_back_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.cut_network()
    stage.check()


def test_a_network_that_flaps_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.flap_network()
    stage.check()


def test_a_network_that_stalls_and_goes_on_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.stall_network()
    stage.check()


def test_a_network_that_stalls_and_then_cuts_costs_nobody_a_change(stage):
    with stage.writing():
        stage.faults.stall_then_cut_network()
    stage.check()


def test_connections_that_were_forgotten_on_the_way_are_replaced(stage):
    """No byte and no end comes on them: only the silence tells. Streams, REST and the Listener must all notice."""
    for _ in range(10):
        read_snapshot(stage.feed.port, "sessions", Wanted(("sessions",)))  # the pools are filled
    with stage.writing():
        stage.faults.strand_connections()
    stage.check()
    until(lambda: _answers(stage.feed.port), 60, "REST to answer again")


def _answers(port):
    try:
        return read_snapshot(port, "sessions", Wanted(("sessions",)))
    except OSError:
        return None
