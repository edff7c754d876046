"""The orders role: orders, the modality worklist made of them, and the procedure steps that modalities perform.

Every process of the role folds the same two topics for itself (`follower`) and answers with the decision of its fold
(`desk`): append, follow, answer. The pure logic is in `gantry.common.orders`.
"""
