"""The op table: one entry an op with its type rule, reference, gradient and lowering facet."""
