"""The search index on OpenSearch.

    PREFIX-receipts    receipts of instances that were received too often for their own documents
    PREFIX-fates       one per receipt with a decision: its deletion state, and the entry to restore it
    PREFIX-corrections one per study or patient that was ever corrected: all its corrections
    PREFIX-holds       one per study or patient that ever had a hold
    PREFIX-accesses    one per study whose last access was ever noted
    PREFIX-instances   one per instance: its receipts, the attributes and the place of the current one
    PREFIX-series      )
    PREFIX-studies     ) computed anew from the instances whenever one of them changes, so that no count can drift
    PREFIX-patients    )

These names are aliases; behind each is one index of a generation (`generations`), so that an index can be rebuilt
beside the live one and take its place at once. Documents are written under optimistic
concurrency (`_seq_no`), so that it does not matter which process owns a partition of the log, owned it before, or
wrongly believes that it still does.

OpenSearch narrows and the reference matcher decides: every document carries terms (`terms`) that find all documents
that may match, and its attributes as msgpack, which `gantry.common.dicom.query.matching` judges. No query text is ever
interpreted.
"""

from gantry.common.adapters.opensearch.cluster import OpenSearchCluster
from gantry.common.adapters.opensearch.index import OpenSearchIndex, open_opensearch_index

__all__ = ["OpenSearchCluster", "OpenSearchIndex", "open_opensearch_index"]
