"""Constants that are not folded."""

CODES = {
    "TOO_LARGE": """graph g(%x: f32[N]) {
        %0 = iota(shape=(200, 1), axis=0, dtype=f32)
        %1 = iota(shape=(1, 100), axis=1, dtype=f32)
        %2 = add(%0, %1)
        %3 = max(%2, axes=(0, 1))
        %4 = add(%x, %3)
        return %4 }""",
}

SILENT = {
    "as many numbers as samples": """graph g(%x: f32[N, 3]) {
        %0 = iota(shape=(N, 3), axis=0, dtype=f32)
        %1 = multiply(%0, 2.0)
        %2 = add(%x, %1)
        return %2 }""",
}
