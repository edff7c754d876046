"""Tests that `make test` leaves out for their length, and `make test-long` runs.

CI has a time, and a change has to land on a slow day too. What stays out is what another test of the same promise keeps
in: the same code on the other stores (whose likeness is tests/contract's to prove), or at the neighbouring moment of a
kill. So nothing is here that is the only test of a promise, and nothing of what an acknowledged object has to survive
first: ingest's commit, a deletion, a correction, a rebuild from the bucket. One thing is here that nothing else tests:
a release, which is made after all of it has run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache

HOW_MUCH = os.environ.get("GANTRY_TESTS", "short")
"""`quick`, `short` or `long` (tests/conftest.py)."""
_SHARES = {"quick": 0.1, "short": 0.25, "long": 1.0}
ALL: tuple[str, ...] = ("",)

LONG: Mapping[str, Sequence[str]] = {
    # file or test: words of which the parameters of a long one have one
    "contract/test_opensearch_deletions.py::test_several_writers": ["[1]", "[2]", "[3]"],
    "contract/test_opensearch_races.py::test_a_writer": ["displaced", "is lost", "heard of"],
    "contract/test_search_index.py::test_a_listing_goes_on": ["opensearch-Level.IMAGE"],
    "contract/test_search_index.py::test_memory": ["opensearch"],
    "contract/test_views.py": ["opensearch-1", "opensearch-2"],
    "crash/test_audit.py": ["cluster"],
    "crash/test_audit_repository.py": ["cluster"],
    "crash/test_audit_repository.py::test_no_record": ["ours-15", "rsyslog-9"],
    "crash/test_availability_changes.py::test_a_notification": ["cluster"],
    "crash/test_coercion.py::test_a_rule_that_would": ["cluster"],
    "crash/test_coercion.py::test_an_object_whose_event": ["cluster-after"],
    "crash/test_coercion.py::test_of_the_same_bytes": ["cluster"],
    "crash/test_coercion.py::test_stow_is_answered": ["cluster"],
    "crash/test_coercion.py::test_what_rules_would_change": ["cluster"],
    "crash/test_coercion_from_orders.py::test_an_object_whose_event": ["cluster-after"],
    "crash/test_coercion_from_orders.py::test_an_order_that_is_not_clear": ["cluster"],
    "crash/test_coercion_from_orders.py::test_orders_that_cannot": ["cluster"],
    "crash/test_coercion_from_orders.py::test_what_would_come": ["cluster"],
    "crash/test_completion.py::test_a_study_is_complete_once": ["cluster"],
    "crash/test_compression.py::test_a_compression_that": ["after-copy", "before-leave"],
    "crash/test_compression.py::test_what_is_compressed_is_restored": ["cluster"],
    "crash/test_compression.py::test_what_is_compressed_takes": ["cluster"],
    "crash/test_concurrent_changes.py": ["cluster"],
    "crash/test_copies.py::test_a_person": ["cluster"],
    "crash/test_copies.py::test_redundant": ["cluster"],
    "crash/test_corrections.py::test_a_merge_that_is_cut_off": ["cluster-before-publish"],
    "crash/test_corrections.py::test_who_may_not": ["cluster"],
    "crash/test_dead_letters.py::test_a_command_that_is_killed": ["cluster"],
    "crash/test_dead_letters.py::test_a_discarded": ["cluster"],
    "crash/test_dead_letters.py::test_a_poisonous": ["cluster"],
    "crash/test_deidentified_routes.py::test_commitment": ["cluster"],
    "crash/test_deidentified_sharing.py": ["cluster"],
    "crash/test_deletion.py::test_a_collector_killed": ["after-publish", "before-commit", "cluster-]"],
    "crash/test_deletion.py::test_a_command_killed": ["cluster-after-publish"],
    "crash/test_deletion.py::test_a_process_killed": ["cluster-before-answer"],
    "crash/test_deletion.py::test_studies_are_deleted_by_a_rule": ["cluster"],
    "crash/test_deletion.py::test_what_is_deleted_over_http": ["cluster"],
    "crash/test_deletion.py::test_who_may_not": ["cluster"],
    "crash/test_department_day.py::test_a_day_on_which": ["cluster-4", "cluster-6"],
    "crash/test_encryption.py::test_the_bucket_and": ["cluster"],
    "crash/test_evidence.py::test_without_a_key": ["cluster"],
    "crash/test_feed.py::test_a_reader_waits": ["cluster"],
    "crash/test_feed.py::test_after_the_log": ["cluster"],
    "crash/test_feed.py::test_everything_that_happens": ["cluster"],
    "crash/test_fetching_through.py::test_a_fetch_goes_on": ["cluster"],
    "crash/test_fetching_through.py::test_a_mover": ["cluster"],
    "crash/test_fetching_through.py::test_an_archive_that_does_not": ["cluster"],
    "crash/test_fetching_through.py::test_one_that_cancels": ["cluster"],
    "crash/test_finished_moves.py::test_a_move_that_dies": ["cluster"],
    "crash/test_finished_moves.py::test_a_move_that_dies_before": ["cluster-after"],
    "crash/test_finished_moves.py::test_a_move_that_is_cancelled": ["cluster"],
    "crash/test_finished_moves.py::test_what_a_destination_refuses": ["cluster"],
    "crash/test_hl7.py": ["cluster-after-apply", "cluster-before-answer"],
    "crash/test_hl7.py::test_updates_merges": ["cluster"],
    "crash/test_hl7.py::test_what_could_not": ["cluster"],
    "crash/test_in_place.py::test_a_hostile": ["cluster"],
    "crash/test_in_place.py::test_a_rule_of_tiers": ["cluster"],
    "crash/test_in_place.py::test_an_archive_that_does_not": ["cluster"],
    "crash/test_in_place.py::test_an_import_that_is_killed": ["cluster-before-publish", "cluster-after-blob-put"],
    "crash/test_in_place.py::test_the_sweeper": ["cluster"],
    "crash/test_linking.py::test_the_bucket_alone": ["cluster"],
    "crash/test_linking.py::test_what_cannot": ["cluster"],
    "crash/test_linking.py::test_what_was_broken_off": [
        "cluster-before-answer",
        "cluster-after",
        "cluster-before-publish",
    ],
    "crash/test_moves.py::test_a_move_that_is_cut_off": ["cluster-after", "cluster-before-publish"],
    "crash/test_moves.py::test_a_series_of_another": ["cluster"],
    "crash/test_moves.py::test_an_object_that_was_moved": ["cluster"],
    "crash/test_moves.py::test_what_cannot": ["cluster"],
    "crash/test_operations.py": ["cluster"],
    "crash/test_operations_routes.py": ["cluster"],
    "crash/test_order_erasure.py::test_an_erasure_that_was_killed": [
        "cluster-before-publish",
        "cluster-before-answer",
        "cluster-before-erase",
    ],
    "crash/test_order_erasure.py::test_an_order_goes": ["cluster"],
    "crash/test_order_erasure.py::test_an_order_that_was_not": ["cluster-before-answer"],
    "crash/test_orders.py::test_a_modality": ["cluster-before-answer"],
    "crash/test_quota.py": ["cluster"],
    "crash/test_reconcile.py::test_passes": ["cluster"],
    "crash/test_redelivery.py::test_other_bytes": ["cluster"],
    "crash/test_rejected_views.py::test_a_role": ["cluster"],
    "crash/test_rejected_views.py::test_a_view_that": ["cluster"],
    "crash/test_rejected_views.py::test_an_ae_title": ["cluster"],
    "crash/test_rejected_views.py::test_what_a_view": ["cluster"],
    "crash/test_rejection.py::test_a_note_that_cannot": ["cluster"],
    "crash/test_rejection_policy.py::test_a_note_that_comes_first": ["cluster"],
    "crash/test_rejection_policy.py::test_notes_follow": ["cluster"],
    "crash/test_rejection_policy.py::test_what_is_rejected_for": ["cluster"],
    "crash/test_result_messages_foreign.py::test_hapi": ["cluster"],
    "crash/test_retention.py::test_a_hold_on_a_patient": ["cluster"],
    "crash/test_retention.py::test_accesses": ["cluster"],
    "crash/test_retention.py::test_nobody": ["cluster"],
    "crash/test_routing.py::test_a_planner": ["cluster"],
    "crash/test_routing.py::test_a_study_is_sent_on": ["cluster"],
    "crash/test_routing.py::test_objects_wait": ["cluster"],
    "crash/test_stow.py::test_what_a_response": ["cluster-after-blob-put", "cluster-before-answer"],
    "crash/test_stow_routes.py::test_a_server_that_is_away": ["cluster"],
    "crash/test_support.py": ["cluster"],
    "crash/test_tiers.py::test_a_dry_run": ["cluster"],
    "crash/test_tiers.py::test_a_move_that_is_killed": [
        *("cluster-after-copy", "cluster-after-publish", "cluster-before-leave", "cluster-after-leave"),
        *("embedded-after-copy", "embedded-before-leave"),
    ],
    "crash/test_tiers.py::test_the_copy_that": ["cluster"],
    "crash/test_tiers.py::test_what_a_changed_rule": ["cluster"],
    "crash/test_tiers.py::test_what_comes_late": ["cluster"],
    "crash/test_tiers.py::test_what_is_deleted_and": ["cluster"],
    "crash/test_tiers.py::test_what_is_purged": ["cluster"],
    "crash/test_tiers.py::test_what_is_regrouped": ["cluster"],
    "crash/test_upkeep.py::test_a_log_that_is_not_empty": ["cluster"],
    "crash/test_usage.py": ["cluster"],
    "crash/test_webhooks.py::test_a_dead_receiver": ["cluster"],
    "crash/test_webhooks.py::test_a_webhook_without": ALL,
    "crash/test_where.py::test_a_study_is_found": ["cluster"],
    "crash/test_where.py::test_it_is_said": ["cluster"],
    "crash/test_where.py::test_what_is_on_the_log": ["cluster"],
    "crash/test_where.py::test_who_called": ["cluster"],
    "crash/test_work_rules.py::test_there_is_one": ["cluster"],
    "e2e/test_changes_seen.py": ["embedded"],
    "e2e/test_compose.py": ALL,
    "e2e/test_conversion.py": ["cluster"],
    "e2e/test_fetching_through.py::test_what_only_orthanc": ["cluster"],
    "e2e/test_inventory.py::test_a_new_archive": ["cluster"],
    "e2e/test_inventory.py::test_writing_one": ["cluster"],
    "e2e/test_leaks.py": ["cluster"],
    "e2e/test_other_languages.py::test_a_test_in_java_": ALL,
    "e2e/test_peers_api.py::test_the_api_adds": ["cluster"],
    "e2e/test_rates.py::test_a_peer_that_is_too_fast": ["cluster-THIN"],
    "e2e/test_release.py": ALL,
    "e2e/test_sharing.py::test_command": ["cluster"],
    "e2e/test_sharing.py::test_link_is_on_record": ["cluster"],
    "e2e/test_stow.py::test_a_large_object": ["cluster"],
    "e2e/test_subscriptions.py::test_everything_that_is_said": ["cluster"],
    "e2e/test_viewer.py": ["cluster"],
    "e2e/test_viewer_budgets.py": ALL,
    "faults/test_dependencies.py::test_a_sender_hears": ["503", "takes its time"],
    "faults/test_parts.py::test_every_part_is_restarted": ALL,
    "faults/test_parts.py::test_every_part_stands": ALL,
}


@cache
def _entries_of(file: str) -> tuple[str, ...]:
    return tuple(entry for entry in LONG if file.startswith(f"tests/{entry.partition('::')[0]}"))


def is_long(nodeid: str) -> bool:
    """Of a test by pytest's name for it."""
    return any(entry_is_of(entry, nodeid) for entry in _entries_of(nodeid.partition("::")[0]))


def entry_is_of(entry: str, nodeid: str) -> bool:
    """Whether an entry of the table says that a test is long."""
    path, bracket, parameters = nodeid.partition("[")
    return path.startswith(f"tests/{entry}") and any(word in f"{bracket}{parameters}" for word in LONG[entry])


def examples(most: int) -> int:
    """How many examples a property test is tried on that sees so many where there is time."""
    return max(3, round(most * _SHARES[HOW_MUCH]))
