"""What would not hold but nearly: it stays, to the bit. Casts that round, bounds that are NaN."""

EXACT = {
    "from a narrow type and back": """graph g(%x: f32[N, 4]) {
        %0 = cast(%x, dtype=i32)
        %1 = cast(%0, dtype=f32)
        return %1 }""",
    "to a small integer and on to a wide one": """graph g(%x: f32[N, 4]) {
        %0 = multiply(%x, 40.0)
        %1 = abs(%0)
        %2 = cast(%1, dtype=u8)
        %3 = cast(%2, dtype=f32)
        return %3 }""",
    "to float32 and back to float64": """graph g(%x: f64[N, 4]) {
        %0 = cast(%x, dtype=f32)
        %1 = cast(%0, dtype=f64)
        %2 = subtract(%x, %1)
        return %2 }""",
    "a NaN as the bound of a clamp": """graph g(%x: f32[N, 4]) {
        %0 = maximum(%x, nan)
        %1 = minimum(nan, %x)
        %2 = relu(%x)
        return %0, %1, %2 }""",
    "to a byte by way of a wider integer": """graph g(%x: i64[N, 4]) {
        %0 = multiply(%x, i64(100))
        %1 = cast(%0, dtype=u8)
        %2 = cast(%1, dtype=i32)
        return %2 }""",
}
