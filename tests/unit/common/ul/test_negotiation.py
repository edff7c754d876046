"""PS3.8 7.1.1.13 and PS3.7 D.3.3.4: what is accepted, refused, and in which roles."""

from gantry.common.ul import Ability, RoleSelection, negotiate
from gantry.common.ul.negotiation import accepted_by_peer
from tests.support.wire import CT, EXPLICIT, IMPLICIT, JPEG_2000, VERIFICATION, associate_rq

ANY = {CT: Ability()}


def results(request: object, abilities: dict[str, Ability]) -> dict[int, tuple[int, str]]:
    return {r.id: (r.result, r.transfer_syntax) for r in negotiate(request, abilities)[0]}  # type: ignore[arg-type]


def test_storage_takes_the_transfer_syntax_that_the_sender_names_first() -> None:
    request = associate_rq([(1, CT, (JPEG_2000, EXPLICIT))])
    assert results(request, ANY) == {1: (0, JPEG_2000)}


def test_a_service_with_a_preference_gets_it() -> None:
    abilities = {CT: Ability(frozenset({EXPLICIT, IMPLICIT}), preferred=(EXPLICIT, IMPLICIT))}
    assert results(associate_rq([(1, CT, (IMPLICIT, EXPLICIT))]), abilities) == {1: (0, EXPLICIT)}


def test_unknown_abstract_and_transfer_syntaxes_are_told_apart() -> None:
    abilities = {CT: Ability(frozenset({EXPLICIT}))}
    request = associate_rq([(1, "1.2.3", (EXPLICIT,)), (3, CT, (JPEG_2000,)), (5, CT, (EXPLICIT,))])
    assert results(request, abilities) == {1: (3, EXPLICIT), 3: (4, JPEG_2000), 5: (0, EXPLICIT)}


def test_128_contexts_are_answered_one_by_one() -> None:
    request = associate_rq([(2 * i + 1, CT if i % 2 else VERIFICATION, (EXPLICIT,)) for i in range(128)])
    answered = results(request, ANY)
    assert sum(result == 0 for result, _ in answered.values()) == 64


def test_roles_are_answered_where_proposed_and_never_widened() -> None:
    both = {CT: Ability(scp=True, scu=True)}
    request = associate_rq([(1, CT, (EXPLICIT,))], roles=(RoleSelection(CT, False, True),))
    _, roles, contexts = negotiate(request, both)
    assert roles == (RoleSelection(CT, False, True),)
    assert not contexts[1].requestor_is_scu
    assert contexts[1].requestor_is_scp
    _, roles, contexts = negotiate(associate_rq([(1, CT, (EXPLICIT,))]), both)
    assert roles == ()
    assert contexts[1].requestor_is_scu
    assert not contexts[1].requestor_is_scp


def test_a_role_that_we_cannot_play_is_refused() -> None:
    request = associate_rq([(1, CT, (EXPLICIT,))], roles=(RoleSelection(CT, False, True),))
    assert results(request, {CT: Ability(scp=True, scu=False)}) == {1: (3, EXPLICIT)}


def test_the_requestor_ignores_results_it_did_not_ask_for() -> None:
    request = associate_rq([(1, CT, (EXPLICIT,))])
    answered = negotiate(associate_rq([(1, CT, (EXPLICIT,)), (3, CT, (IMPLICIT,))]), ANY)[0]
    assert list(accepted_by_peer(request, answered, ())) == [1]
    wrong = negotiate(associate_rq([(1, CT, (IMPLICIT,))]), ANY)[0]
    assert accepted_by_peer(request, wrong, ()) == {}


def test_two_services_on_one_abstract_syntax_join_their_roles() -> None:
    joined = Ability(frozenset({EXPLICIT}), scp=True).join(Ability(frozenset({IMPLICIT}), scp=False, scu=True))
    assert joined == Ability(frozenset({EXPLICIT, IMPLICIT}), scp=True, scu=True)
