"""Tables that products are not folded into, and what is no row of a table."""


def picked(
    rows: int, body: str, gather: str = "gather($t, %i)", signature: str = "%i: i32[N, 3]"
) -> str:
    """A graph of rows of a table, called ``%0``."""
    return f"graph g({signature}) {{ $t : f32[{rows}, 2] {body.format(f'%0 = {gather}')} }}"


PRODUCT = "$w : f32[2, {}] {{}} %1 = matmul(%0, $w) return %1"

CODES = {
    "TOO_LARGE": picked(131073, PRODUCT.format(128)),
    "SELDOM_READ": picked(10001, PRODUCT.format(3), signature="%i: i32[N]"),
}

SILENT = {
    "another fill than NaN": picked(3, PRODUCT.format(3), "gather($t, %i, fill=2.5)"),
    "columns": picked(
        2,
        "$w : f32[2, 3] {} %1 = matmul(%0, $w) return %1",
        "gather($t, %i, axis=1)",
        "%i: i32[N, 2]",
    ),
    "a weight that a call brings": picked(
        3, "{} %1 = matmul(%0, %w) return %1", signature="%i: i32[N, 3], %w: f32[2, 5]"
    ),
    "the right operand": picked(
        3, "$w : f32[4, 3] {} %1 = matmul($w, %0) return %1", signature="%i: i32[3]"
    ),
    "rows by rows": picked(3, "{} %1 = matmul(%0, %0) return %1", signature="%i: i32[2]"),
    "matrices of their own for each sample": picked(
        3, "$w : f32[3, 2, 5] {} %1 = reshape(%0, shape=(N, 3, 1, 2)) %2 = matmul(%1, $w) return %2"
    ),
    "something added at each place": picked(
        3,
        "$w : f32[2, 2] $p : f32[3, 2] {} %1 = add(%0, $p) %2 = matmul(%1, $w) "
        "%3 = add(%2, $p) return %3",
    ),
    "what makes a number of NaN": picked(
        3, "$w : f32[2, 4] {} %1 = matmul(%0, $w) %2 = is_nan(%1) return %2"
    ),
    "a table that calls update": """graph g(%i: i32[N, 3], %s: f32[3, 2]) {
        $t : f32[3, 2] $w : f32[2, 4]
        %0 = gather($t, %i)
        %1 = matmul(%0, $w)
        %2 = add($t, %s)
        update $t = %2
        return %1 }""",
    "two gathers of one table": """graph g(%i: i32[N, 3], %j: i32[N, 3]) {
        $t : f32[4, 2] $w : f32[2, 4]
        %0 = gather($t, %i)
        %1 = gather($t, %j)
        %2 = add(%0, %1)
        %3 = matmul(%2, $w)
        return %3 }""",
    "rows read elsewhere, at every stage": picked(
        5,
        "$w : f32[2, 4] $b : f32[4] {} %1 = matmul(%0, $w) %2 = add(%1, $b) %3 = cos(%1) "
        "return %0, %2, %3",
    ),
}
