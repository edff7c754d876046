"""DIMSE statuses (PS3.7 Annex C, PS3.4 B.2.3, C.4, J.3): their names, their words, and what kind each is. No other file
has a status as a number."""

from __future__ import annotations

SUCCESS = 0x0000
OPTIONAL_ATTRIBUTES_NOT_SUPPORTED = 0x0001
"""A warning (PS3.4 CC.2.7.4)."""
NO_SUCH_ATTRIBUTE = 0x0105
INVALID_ATTRIBUTE_VALUE = 0x0106
ATTRIBUTE_LIST_ERROR = 0x0107
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_OBJECT_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT_VALUE = 0x0115
ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
INVALID_OBJECT_INSTANCE = 0x0117
NO_SUCH_SOP_CLASS = 0x0118
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
SOP_CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION = 0x0123
NOT_AUTHORISED = 0x0124
DUPLICATE_TRANSACTION_UID = 0x0131
DUPLICATE_INVOCATION = 0x0210
UNRECOGNISED_OPERATION = 0x0211
MISTYPED_ARGUMENT = 0x0212
RESOURCE_LIMITATION = 0x0213
OUT_OF_RESOURCES = 0xA700
UNABLE_TO_COUNT_MATCHES = 0xA701
UNABLE_TO_PERFORM_SUB_OPERATIONS = 0xA702
INVALID_PRIOR_RECORD_KEY = 0xA710
PERFORMED_PROCEDURE_STEP_IS_FINAL = 0xA710
"""An Error ID (0000,0903), beside status 0110H (PS3.4 table F.7.2-2)."""
DUPLICATE_REJECTION_NOTE = 0xA770
SUBSEQUENT_OCCURRENCE_OF_REJECTED_INSTANCE = 0xA771
REJECTED_INSTANCE_UNKNOWN = 0xA772
REJECTED_INSTANCE_OF_ANOTHER_CLASS = 0xA773
INSTANCE_ALREADY_REJECTED = 0xA774
REJECTION_CODE_NOT_ALLOWED = 0xA775
RETENTION_NOT_OVER = 0xA776
"""Of C-STORE with rejection notes (IHE IOCM): not of the standard, but as the field knows them."""
MOVE_DESTINATION_UNKNOWN = 0xA801
DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
SUB_OPERATIONS_FAILED = 0xB000
"""Of C-GET and C-MOVE (PS3.4 C.4.2.1.5): complete, but for one or more failures."""
COERCION_OF_DATA_ELEMENTS = 0xB000
"""Of C-STORE (PS3.4 B.2.3)."""
RESPONSE_LIMIT_REACHED = 0xB001
"""Of Repository Query: there are more matches, which another request may ask for (PS3.4 table C.4-1)."""
ELEMENTS_DISCARDED = 0xB006
KEPT_WITHOUT_MATCHING_SOP_CLASS = 0xB007
WORKITEM_CREATED_WITH_MODIFICATIONS = 0xB300
WORKITEM_ALREADY_CANCELED = 0xB304
WORKITEM_ALREADY_COMPLETED = 0xB306
CANNOT_UNDERSTAND = 0xC000
WORKITEM_MAY_NOT_BE_UPDATED = 0xC300
WORKITEM_WRONG_TRANSACTION_UID = 0xC301
WORKITEM_ALREADY_IN_PROGRESS = 0xC302
WORKITEM_ONLY_CREATED_AS_SCHEDULED = 0xC303
WORKITEM_FINAL_STATE_REQUIREMENTS = 0xC304
WORKITEM_UNKNOWN = 0xC307
WORKITEM_UNKNOWN_RECEIVER = 0xC308
WORKITEM_NOT_SCHEDULED = 0xC309
WORKITEM_NOT_IN_PROGRESS = 0xC310
WORKITEM_IS_COMPLETED = 0xC311
WORKITEM_ACTION_NOT_APPROPRIATE = 0xC314
WORKITEM_NO_EVENT_REPORTS = 0xC315
"""Of Unified Procedure Steps (PS3.4 CC.2). C312H and C313H are for SCPs that perform them."""
CANCELLED = 0xFE00
PENDING = 0xFF00
PENDING_WARNING = 0xFF01

WORDS = {
    SUCCESS: "success",
    OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: "requested optional attributes are not supported",
    NO_SUCH_ATTRIBUTE: "no such attribute",
    INVALID_ATTRIBUTE_VALUE: "invalid attribute value",
    ATTRIBUTE_LIST_ERROR: "attribute list error",
    PROCESSING_FAILURE: "processing failure",
    DUPLICATE_SOP_INSTANCE: "duplicate SOP instance",
    NO_SUCH_OBJECT_INSTANCE: "no such object instance",
    NO_SUCH_EVENT_TYPE: "no such event type",
    INVALID_ARGUMENT_VALUE: "invalid argument value",
    ATTRIBUTE_VALUE_OUT_OF_RANGE: "attribute value out of range",
    INVALID_OBJECT_INSTANCE: "invalid object instance",
    NO_SUCH_SOP_CLASS: "no such SOP class",
    CLASS_INSTANCE_CONFLICT: "class-instance conflict",
    MISSING_ATTRIBUTE: "missing attribute",
    MISSING_ATTRIBUTE_VALUE: "missing attribute value",
    SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
    NO_SUCH_ACTION: "no such action",
    NOT_AUTHORISED: "not authorised",
    DUPLICATE_TRANSACTION_UID: "duplicate transaction UID",
    DUPLICATE_INVOCATION: "duplicate invocation",
    UNRECOGNISED_OPERATION: "unrecognised operation",
    MISTYPED_ARGUMENT: "mistyped argument",
    RESOURCE_LIMITATION: "resource limitation",
    OUT_OF_RESOURCES: "out of resources",
    UNABLE_TO_COUNT_MATCHES: "out of resources: cannot count matches",
    UNABLE_TO_PERFORM_SUB_OPERATIONS: "out of resources: cannot perform sub-operations",
    DUPLICATE_REJECTION_NOTE: "duplicate rejection note",
    SUBSEQUENT_OCCURRENCE_OF_REJECTED_INSTANCE: "subsequent occurrence of a rejected instance",
    REJECTED_INSTANCE_UNKNOWN: "rejection of an unknown instance",
    REJECTED_INSTANCE_OF_ANOTHER_CLASS: "rejection of an instance of another class",
    INSTANCE_ALREADY_REJECTED: "instance is rejected already",
    REJECTION_CODE_NOT_ALLOWED: "rejection with this code is not allowed",
    RETENTION_NOT_OVER: "retention is not over, or a hold stands",
    PERFORMED_PROCEDURE_STEP_IS_FINAL: "performed procedure step may no longer be updated",
    MOVE_DESTINATION_UNKNOWN: "move destination unknown",
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS: "data set does not match SOP class",
    SUB_OPERATIONS_FAILED: "warning",
    RESPONSE_LIMIT_REACHED: "the limit of responses was reached: there are more",
    ELEMENTS_DISCARDED: "elements discarded",
    KEPT_WITHOUT_MATCHING_SOP_CLASS: "data set does not match SOP class (kept)",
    WORKITEM_CREATED_WITH_MODIFICATIONS: "the workitem was created with modifications",
    WORKITEM_ALREADY_CANCELED: "the workitem is CANCELED already",
    WORKITEM_ALREADY_COMPLETED: "the workitem is COMPLETED already",
    WORKITEM_MAY_NOT_BE_UPDATED: "the workitem may no longer be updated",
    WORKITEM_WRONG_TRANSACTION_UID: "the correct transaction UID was not provided",
    WORKITEM_ALREADY_IN_PROGRESS: "the workitem is IN PROGRESS already",
    WORKITEM_ONLY_CREATED_AS_SCHEDULED: "a workitem becomes SCHEDULED by N-CREATE only",
    WORKITEM_FINAL_STATE_REQUIREMENTS: "the workitem lacks what its final state requires",
    WORKITEM_UNKNOWN: "there is no such workitem here",
    WORKITEM_UNKNOWN_RECEIVER: "the receiving AE title is unknown",
    WORKITEM_NOT_SCHEDULED: "the state given was not SCHEDULED",
    WORKITEM_NOT_IN_PROGRESS: "the workitem is not yet IN PROGRESS",
    WORKITEM_IS_COMPLETED: "the workitem is COMPLETED",
    WORKITEM_ACTION_NOT_APPROPRIATE: "the action does not suit the instance",
    WORKITEM_NO_EVENT_REPORTS: "events are not reported here",
    CANCELLED: "cancelled",
    PENDING: "pending",
    PENDING_WARNING: "pending: some optional keys were ignored",
}
_CLASSES = {0xA: "refused", 0xB: "warning", 0xC: "cannot understand"}
# PS3.7 C.1.1.3: these are warnings, whatever their first digit.
_WARNINGS = frozenset((OPTIONAL_ATTRIBUTES_NOT_SUPPORTED, ATTRIBUTE_LIST_ERROR, ATTRIBUTE_VALUE_OUT_OF_RANGE))


def status_words(status: int) -> str:
    """A status for a person: `A700H out of resources`."""
    return f"{status:04X}H {WORDS.get(status) or _CLASSES.get(status >> 12, 'failure')}"


def is_pending(status: int) -> bool:
    """Whether more responses follow (PS3.7 C.1.1.5)."""
    return status & 0xFF00 == PENDING


def is_warning(status: int) -> bool:
    """Whether it was done, with something to say about it (PS3.7 C.1.1.3)."""
    return status >> 12 == 0xB or status in _WARNINGS


def is_failure(status: int) -> bool:
    """Whether it is neither success, nor warning, nor cancel, nor pending."""
    return status not in (SUCCESS, CANCELLED) and not is_warning(status) and not is_pending(status)
