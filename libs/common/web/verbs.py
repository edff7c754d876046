"""The verb of each resource, and the resources that are open to callers who see only some studies. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.common.access import Verb
from gantry.common.web.routes import Resource

VERBS: Mapping[Resource, Verb] = {
    Resource.STORE: Verb.STORE,
    Resource.DELETE: Verb.DELETE,
    Resource.RESTORE: Verb.DELETE,
    Resource.CORRECT: Verb.CORRECT,
    Resource.WITHDRAW_CORRECTION: Verb.CORRECT,
    Resource.HISTORY: Verb.HISTORY,
    Resource.CORRECT_PATIENT: Verb.CORRECT,
    Resource.MOVE: Verb.CORRECT,
    Resource.MOVE_BACK: Verb.CORRECT,
    Resource.PERMISSIONS: Verb.READ,
    Resource.HOLDS: Verb.HISTORY,
    Resource.HOLD: Verb.HOLD,
    Resource.RELEASE: Verb.HOLD,
    Resource.OPERATIONS: Verb.OPERATE,
    Resource.OPERATE: Verb.OPERATE,
    Resource.SET_PEER: Verb.OPERATE,
    Resource.REMOVE_PEER: Verb.OPERATE,
    Resource.SEARCH_STUDIES: Verb.READ,
    Resource.SEARCH_SERIES: Verb.READ,
    Resource.SEARCH_INSTANCES: Verb.READ,
    Resource.STATES: Verb.READ,
    Resource.CHANGES: Verb.CHANGES,
    Resource.CHANGE_FEED: Verb.CHANGES,
    Resource.CAPABILITIES: Verb.READ,
    Resource.OVERRIDES: Verb.OVERRIDE,
    Resource.OVERRIDE: Verb.OVERRIDE,
    Resource.END_OVERRIDES: Verb.OVERRIDE,
    Resource.CREATE_SHARE: Verb.SHARE,
    Resource.SHARES: Verb.SHARE,
    Resource.REVOKE_SHARE: Verb.SHARE,
    Resource.SHARE: Verb.READ,
    Resource.ENTER_SHARE: Verb.READ,
    Resource.FHIR: Verb.READ,
    Resource.SUBSCRIPTIONS: Verb.SUBSCRIBE,
    Resource.SUBSCRIBE: Verb.SUBSCRIBE,
    Resource.CHANGE_SUBSCRIPTION: Verb.SUBSCRIBE,
    Resource.UNSUBSCRIBE: Verb.SUBSCRIBE,
    Resource.OBJECTS: Verb.READ,
    Resource.DEIDENTIFIED: Verb.SHARE,
    Resource.METADATA: Verb.READ,
    Resource.RENDERED: Verb.READ,
    Resource.THUMBNAIL: Verb.READ,
    Resource.FRAMES: Verb.READ,
    Resource.BULK_DATA: Verb.READ,
    Resource.DESTINATIONS: Verb.SEND,
    Resource.SEND: Verb.SEND,
    Resource.TRANSFER: Verb.SEND,
    Resource.CANCEL_TRANSFER: Verb.SEND,
    Resource.COMMITMENT: Verb.STORE,
    Resource.COMMITMENT_RESULT: Verb.STORE,
    Resource.FHIR_ORDERS: Verb.WORKLIST,
    Resource.SEARCH_ORDERS: Verb.WORKLIST,
    Resource.PLACE_ORDER: Verb.ORDER,
    Resource.ORDER: Verb.WORKLIST,
    Resource.CHANGE_ORDER: Verb.ORDER,
    Resource.CANCEL_ORDER: Verb.ORDER,
    Resource.LINK_STUDY: Verb.ORDER,
    Resource.SEARCH_WORKITEMS: Verb.WORKLIST,
    Resource.CREATE_WORKITEM: Verb.ORDER,
    Resource.WORKITEM: Verb.WORKLIST,
    Resource.CHANGE_WORKITEM: Verb.ORDER,
    Resource.WORKITEM_STATE: Verb.ORDER,
    Resource.ERASE_WORKITEM: Verb.ORDER,
    Resource.SUBSCRIBE_WORKITEMS: Verb.ORDER,
    Resource.UNSUBSCRIBE_WORKITEMS: Verb.ORDER,
    Resource.WORKITEM_EVENTS: Verb.WORKLIST,
    Resource.MESSAGES: Verb.OPERATE,
    Resource.DECIDE_MESSAGE: Verb.OPERATE,
    Resource.WADO_URI: Verb.READ,
    Resource.PAGE: Verb.READ,
    Resource.LOGIN: Verb.READ,
    Resource.SESSION: Verb.READ,
}
"""The verb of every resource."""

BY_NAME = frozenset((Verb.DELETE, Verb.CORRECT, Verb.HOLD, Verb.ORDER, Verb.OPERATE, Verb.SHARE, Verb.SUBSCRIBE))
"""Verbs that `http.may_*` allow by name, too: the handlers decide (`gantry.common.web.callers.may`)."""

WITHOUT_STUDY = frozenset(
    (
        *(Resource.SEARCH_STUDIES, Resource.SEARCH_SERIES, Resource.SEARCH_INSTANCES, Resource.STATES),
        *(Resource.CAPABILITIES, Resource.PERMISSIONS, Resource.WADO_URI, Resource.PAGE),
        *(Resource.LOGIN, Resource.SESSION, Resource.FHIR, Resource.SHARE, Resource.ENTER_SHARE),
        *(Resource.OVERRIDES, Resource.OVERRIDE, Resource.END_OVERRIDES),
        *(Resource.SUBSCRIPTIONS, Resource.SUBSCRIBE, Resource.CHANGE_SUBSCRIPTION, Resource.UNSUBSCRIBE),
    )
)
"""Resources that show a caller with restricted sight only what the index returns for that caller."""
OF_A_STUDY = frozenset(
    (
        *(Resource.OBJECTS, Resource.METADATA, Resource.RENDERED, Resource.THUMBNAIL, Resource.FRAMES),
        *(Resource.BULK_DATA, Resource.HISTORY, Resource.HOLDS, Resource.HOLD, Resource.RELEASE),
        *(Resource.DELETE, Resource.CORRECT, Resource.WITHDRAW_CORRECTION),
    )
)
"""Resources of one study, for callers with restricted sight that see it. All others require full sight: they name or
count studies beside the index, store new ones, or continue after the request."""

OF_ORDINARY = frozenset(
    (Resource.STORE, Resource.DESTINATIONS, Resource.SEND, Resource.TRANSFER, Resource.CANCEL_TRANSFER)
)
"""Further resources for a caller who sees everything but confidential studies: it can send studies that it sees, and
may store some that it does not see afterwards."""

BY_SHARE = frozenset(
    (
        *(Resource.SEARCH_STUDIES, Resource.SEARCH_SERIES, Resource.SEARCH_INSTANCES, Resource.PERMISSIONS),
        *(Resource.METADATA, Resource.RENDERED, Resource.THUMBNAIL, Resource.FRAMES, Resource.BULK_DATA),
        *(Resource.PAGE, Resource.SHARE, Resource.ENTER_SHARE, Resource.LOGIN, Resource.SESSION),
    )
)
"""Resources for a visitor of a link, for the studies that it shows."""
OF_DOWNLOADS = frozenset((Resource.OBJECTS, Resource.WADO_URI))
"""Further resources for a visitor, if the link permits downloads."""
