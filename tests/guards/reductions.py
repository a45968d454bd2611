"""Reductions that ``reductions`` cuts in two or shares, and those that it must not."""

CODES = {
    "OVER_SAMPLES": """graph g(%x: f32[N, 16, 3]) {
        %0 = sum(%x, axes=(0, 1))
        return %0 }""",
    "SHARED_SUM": """graph g(%x: f32[N, 8], %s: f32[8]) {
        %0 = sum(%x, axes=(0,))
        %1 = multiply(%x, %s)
        %2 = sum(%1, axes=(0,))
        return %0, %2 }""",
}

SILENT = {
    "a factor that varies along the sum": """graph g(%x: f32[N, 8], %s: f32[8]) {
        %0 = sum(%x, axes=(1,))
        %1 = multiply(%x, %s)
        %2 = sum(%1, axes=(1,))
        return %0, %2 }""",
    "a sum as the divisor": """graph g(%x: f32[N, 8], %s: f32[8]) {
        %0 = sum(%x, axes=(0,))
        %1 = divide(%s, %x)
        %2 = sum(%1, axes=(0,))
        return %0, %2 }""",
    "integers, whose quotients are rounded": """graph g(%x: i32[N, 8], %s: i32[8]) {
        %0 = sum(%x, axes=(0,))
        %1 = add(%s, 1)
        %2 = floor_divide(%x, %1)
        %3 = sum(%2, axes=(0,))
        return %0, %3 }""",
    "the largest of what is multiplied": """graph g(%x: f32[N, 8], %s: f32[8]) {
        %0 = max(%x, axes=(0,))
        %1 = multiply(%x, %s)
        %2 = max(%1, axes=(0,))
        return %0, %2 }""",
    "the sum over other axes": """graph g(%x: f32[N, 8, 3], %s: f32[3]) {
        %0 = sum(%x, axes=(0,))
        %1 = multiply(%x, %s)
        %2 = sum(%1, axes=(0, 1))
        return %0, %2 }""",
    "a factor with an axis more, so that others are summed over": """graph g(
        %x: f32[6, 6], %s: f32[3, 1, 1]) {
        %0 = sum(%x, axes=(1,))
        %1 = multiply(%x, %s)
        %2 = sum(%1, axes=(1,))
        return %0, %2 }""",
    "a product of all over the samples": """graph g(%x: f32[N, 16, 3]) {
        %0 = prod(%x, axes=(0, 1))
        %1 = min(%x, axes=(0, 1), keepdims=True)
        return %0, %1 }""",
    "axes kept by a reshape that not all go through": """graph g(%x: f32[N, 6]) {
        %0 = sum(%x, axes=(1,))
        %1 = reshape(%0, shape=(N, 1))
        %2 = divide(%x, %1)
        %3 = sin(%0)
        return %2, %3 }""",
}
