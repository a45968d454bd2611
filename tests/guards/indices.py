"""Rows that integers name: from the end, and where there are none. The integers are drawn from

0 to 3; of four rows they name, in turn, one outside on either side, one from the end, one inside.
"""

OUTSIDE = """graph g(%x: f32[4, 5], %i: i32[N]) {{
    %0 = multiply(%i, 4)
    %1 = subtract(%0, 6)
    %2 = {call}
    return %2 }}"""

EXACT = {
    "rows from the end": OUTSIDE.format(call="gather(%x, %1, axis=0)"),
    "rows from the front alone": OUTSIDE.format(call="gather(%x, %1, axis=0, from_end=False)"),
    "rows of a number": OUTSIDE.format(call="gather(%x, %1, axis=0, from_end=False, fill=2.5)"),
    "columns": OUTSIDE.format(call="gather(%x, %1, axis=1, fill=0.0)"),
}
