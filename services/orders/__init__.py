"""The orders role: orders, the modality worklist made of them, and the procedure steps that modalities perform.

Every process of the role folds the same two topics for itself (`follower`) and answers with what its fold decided
(`desk`): append, follow, answer. Pure thinking is in `gantry.common.orders`.
"""
