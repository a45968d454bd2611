"""Loops: what leaves them, what they share, and what must stay in them or apart."""

RNN = """graph g(%h: f32[N, 8], %x: f32[N, T, 4]) {{
  $w : f32[4, 8] $u : f32[8, 8]
  %0 = scan(%h, %x, $w, $u, carries=1, sequences=1{options}) {{
    (%c0: f32[N, 8], %x0: f32[N, 4], %w0: f32[4, 8], %w1: f32[8, 8])
    %0.0 = matmul(%x0, %w0)
    %0.1 = multiply(%w1, 0.5)
    %0.2 = matmul(%c0, %0.1)
    %0.3 = add(%0.0, %0.2)
    %0.4 = tanh(%0.3)
    return %0.4, %0.4
  }}
  {rest} }}"""

STACKED = RNN.format(options="", rest="%1 = item(%0, index=1) return %1")


def twice(first: str, second: str = "%c0", options: str = "", body: str = "add(%c0, %x0)") -> str:
    """Two loops over one sequence that hand out ``first`` and ``second`` of each step."""
    steps = "".join(
        f"""%{i} = scan(%h, %x, carries=1, sequences=1{more}) {{
          (%c0: f32[N, 4], %x0: f32[N, 4])
          %{i}.0 = {step}
          %{i}.1 = sin(%{i}.0)
          return %{i}.1, {result.replace("#", str(i))}
        }} """
        for i, step, more, result in (
            (0, "add(%c0, %x0)", "", first),
            (1, body, options, second),
        )
    )
    return f"""graph g(%h: f32[N, 4], %x: f32[N, T, 4]) {{ {steps}
        %2 = item(%0, index=1) %3 = item(%1, index=1) return %2, %3 }}"""


SUMS = """graph g(%h: f32[N, 8], %x: f32[N, T, 4], %z: f32[4, 8]) {{
  $u : f32[8, 8]
  %0 = scan(%h, %z, %x, $u, carries=2, sequences=1) {{
    (%c0: f32[N, 8], %c1: f32[4, 8], %x0: f32[N, 4], %w0: f32[8, 8])
    %0.0 = matmul(%c0, %w0)
    %0.1 = tanh(%0.0)
    %0.2 = transpose(%x0, axes=(1, 0))
    %0.3 = matmul(%0.2, %0.1)
    {body}
  }}
  {rest} }}"""

CODES = {
    "hoist": {
        "LOOP_INVARIANT": STACKED,
        "WHOLE_SEQUENCE": STACKED,
        # A softmax's sum over the features, where time comes after them.
        "TIME_AXIS": """graph g(%h: f32[N, 8], %x: f32[N, 4, T]) {
          $w : f32[4, 8]
          %0 = scan(%h, %x, $w, carries=1, sequences=1, axis=2) {
            (%c0: f32[N, 8], %x0: f32[N, 4], %w0: f32[4, 8])
            %0.0 = matmul(%x0, %w0)
            %0.1 = add(%c0, %0.0)
            %0.2 = tanh(%0.1)
            return %0.2, %0.2
          }
          %1 = item(%0, index=1)
          return %1 }""",
    },
    "inline": {
        "ONE_READER": """graph g(%h: f32[N, 8], %x: f32[N, T, 8]) {
          %0 = sigmoid(%x)
          %1 = scan(%h, %0, carries=1, sequences=1) {
            (%c0: f32[N, 8], %x0: f32[N, 8])
            %1.0 = multiply(%c0, %x0)
            return %1.0
          }
          %2 = item(%1, index=0)
          return %2 }""",
    },
    "sink": {
        "ONE_SUM": SUMS.format(
            body="%0.4 = add(%c1, %0.3) return %0.1, %0.4",
            rest="%1 = item(%0, index=0) %2 = item(%0, index=1) return %1, %2",
        ),
        "WHOLE_SEQUENCE": """graph g(%h: f32[N, 4], %x: f32[N, T, 4]) {
          $w : f32[4, 8]
          %0 = scan(%h, %x, $w, carries=1, sequences=1) {
            (%c0: f32[N, 4], %x0: f32[N, 4], %w0: f32[4, 8])
            %0.0 = add(%c0, %x0)
            %0.1 = tanh(%0.0)
            %0.2 = matmul(%0.1, %w0)
            return %0.1, %0.2
          }
          %1 = item(%0, index=1)
          return %1 }""",
    },
    "retain": {
        "COMPUTED": """graph g(%h: f32[N, 8], %x: f32[N, T, 8]) {
          $u : f32[8, 8]
          %0 = scan(%h, %x, $u, carries=1, sequences=1) {
            (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
            %0.0 = matmul(%c0, %w0)
            %0.1 = add(%0.0, %x0)
            %0.2 = tanh(%0.1)
            return %0.2, %c0
          }
          %1 = item(%0, index=0)
          %2 = item(%0, index=1)
          %3 = matmul(%2, $u)
          %4 = add(%3, %x)
          %5 = sin(%4)
          return %1, %5 }""",
    },
    "trim": {
        "UNREAD": RNN.format(options="", rest="%1 = item(%0, index=0) return %1"),
        "SAME_CARRIES": twice("%0.1"),
    },
}

SILENT = {
    "the same steps forward and backward": twice("%0.1", options=", reverse=True"),
    "steps that differ": twice("%0.1", body="subtract(%c0, %x0)"),
    "backward": RNN.format(options=", reverse=True", rest="%1 = item(%0, index=1) return %1"),
    "a loop that reads what the other made of the same": """graph g(
        %h: f32[N, 4], %x: f32[N, T, 4]) {
      %0 = scan(%h, %x, carries=1, sequences=1) {
        (%c0: f32[N, 4], %x0: f32[N, 4])
        %0.0 = add(%c0, %x0)
        %0.1 = sin(%0.0)
        return %0.1
      }
      %1 = item(%0, index=0)
      %2 = scan(%h, %x, %1, carries=1, sequences=1) {
        (%c0: f32[N, 4], %x0: f32[N, 4], %w0: f32[N, 4])
        %2.0 = add(%c0, %x0)
        %2.1 = sin(%2.0)
        %2.2 = multiply(%2.1, %w0)
        return %2.1, %2.2
      }
      %3 = item(%2, index=1)
      return %1, %3 }""",
    "a sum whose steps are handed out": SUMS.format(
        body="%0.4 = add(%c1, %0.3) %0.5 = sum(%c1, axes=(0,)) return %0.1, %0.4, %0.5",
        rest="%1 = item(%0, index=2) %2 = item(%0, index=1) return %1, %2",
    ),
    "a sum that shrinks from step to step": SUMS.format(
        body="%0.4 = multiply(%c1, 0.5) %0.5 = add(%0.4, %0.3) return %0.1, %0.5",
        rest="%1 = item(%0, index=1) return %1",
    ),
    "a sum of what is as wide as itself and of one row": SUMS.format(
        body="%0.4 = sum(%0.3, axes=(0,)) %0.5 = add(%c1, %0.4) return %0.1, %0.5",
        rest="%1 = item(%0, index=1) return %1",
    ),
    "a sum of squares of products": SUMS.format(
        body="%0.4 = multiply(%0.3, %0.3) %0.5 = add(%c1, %0.4) return %0.1, %0.5",
        rest="%1 = item(%0, index=1) return %1",
    ),
    "a sum of padded products, not padded with zeros": """graph g(%z: f32[4], %x: f32[N, T, 2]) {
      %0 = scan(%z, %x, carries=1, sequences=1) {
        (%c0: f32[4], %x0: f32[N, 2])
        %0.0 = sum(%x0, axes=(0,))
        %0.1 = pad(%0.0, low=(1,), high=(1,), value=2.0)
        %0.2 = add(%c0, %0.1)
        return %0.2
      }
      %1 = item(%0, index=0)
      return %1 }""",
    "what is added at every step alike": """graph g(
        %z: f32[N, 4], %x: f32[N, T, 4], %y: f32[N, 4]) {
      %0 = scan(%z, %x, %y, carries=1, sequences=1) {
        (%c0: f32[N, 4], %x0: f32[N, 4], %w0: f32[N, 4])
        %0.0 = add(%c0, %x0)
        %0.1 = add(%0.0, %w0)
        return %0.1
      }
      %1 = item(%0, index=0)
      return %1 }""",
    "two carries that change places": """graph g(%a: f32[N, 4], %b: f32[N, 4], %x: f32[N, T, 4]) {
      %0 = scan(%a, %b, %x, carries=2, sequences=1) {
        (%c0: f32[N, 4], %c1: f32[N, 4], %x0: f32[N, 4])
        %0.0 = add(%c1, %x0)
        return %0.0, %c0
      }
      %1 = item(%0, index=0)
      %2 = item(%0, index=1)
      return %1, %2 }""",
    "a product of slices that are summed over time": """graph g(%h: f32[4, 3], %x: f32[N, 4, T]) {
      $w : f32[N, 3]
      %0 = scan(%h, %x, carries=1, sequences=1, axis=2) {
        (%c0: f32[4, 3], %x0: f32[N, 4])
        %0.0 = slice(%x0, start=(0, 0), stop=(N, 3), step=(1, 1))
        %0.1 = transpose(%x0, axes=(1, 0))
        %0.2 = matmul(%0.1, %0.0)
        %0.3 = add(%c0, %0.2)
        return %0.3
      }
      %1 = item(%0, index=0)
      return %1 }""".replace("$w : f32[N, 3]\n", ""),
    "images at each step": """graph g(%h: f32[N, 5, 5, 2], %x: f32[N, T, 7, 7, 3]) {
      $k : f32[3, 3, 3, 2]
      %0 = scan(%h, %x, $k, carries=1, sequences=1) {
        (%c0: f32[N, 5, 5, 2], %x0: f32[N, 7, 7, 3], %w0: f32[3, 3, 3, 2])
        %0.0 = conv2d(%x0, %w0)
        %0.1 = add(%c0, %0.0)
        %0.2 = tanh(%0.1)
        return %0.2, %0.2
      }
      %1 = item(%0, index=1)
      return %1 }""",
    "the last axis of each step is reversed and summed": """graph g(%x: f32[N, T, 6]) {
      %0 = scan(%x, carries=0, sequences=1) {
        (%x0: f32[N, 6])
        %0.0 = flip(%x0, axes=(-1,))
        %0.1 = sum(%0.0, axes=(-1,), keepdims=True)
        %0.2 = divide(%0.0, %0.1)
        return %0.2
      }
      %1 = item(%0, index=0)
      return %1 }""",
    # As many steps as rows: what is aligned wrongly has the right type.
    "a row of each step beside a matrix of each": """graph g(%x: f32[4, 8], %y: f32[4, 4, 8]) {
      %0 = scan(%x, %y, carries=0, sequences=2, axis=0) {
        (%x0: f32[8], %x1: f32[4, 8])
        %0.0 = add(%x0, %x1)
        %0.1 = sin(%0.0)
        return %0.1
      }
      %1 = item(%0, index=0)
      return %1 }""",
    "products of as many steps as columns": """graph g(%x: f32[N, 8, 8]) {
      $w : f32[8, 8]
      %0 = scan(%x, $w, carries=0, sequences=1, axis=2) {
        (%x0: f32[N, 8], %w0: f32[8, 8])
        %0.0 = matmul(%x0, %w0)
        return %0.0
      }
      %1 = item(%0, index=0)
      return %1 }""",
    "a product that is handed out, time being the last axis": """graph g(
        %h: f32[N, 8], %x: f32[N, 8, T]) {
      $u : f32[8, 8]
      %0 = scan(%h, %x, $u, carries=1, sequences=1, axis=2) {
        (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
        %0.0 = matmul(%c0, %w0)
        %0.1 = add(%0.0, %x0)
        %0.2 = tanh(%0.1)
        return %0.2, %0.0
      }
      %1 = item(%0, index=1)
      return %1 }""",
    "a slice that is multiplied by a carry, time being the last axis": """graph g(
        %h: f32[N, 8, 8], %x: f32[N, 4, 8, T]) {
      %0 = scan(%h, %x, carries=1, sequences=1, axis=3) {
        (%c0: f32[N, 8, 8], %x0: f32[N, 4, 8])
        %0.0 = matmul(%x0, %c0)
        %0.1 = sum(%0.0, axes=(1,), keepdims=True)
        %0.2 = add(%c0, %0.1)
        %0.3 = tanh(%0.2)
        return %0.3, %0.0
      }
      %1 = item(%0, index=1)
      return %1 }""",
    "a sum that starts at zero, of what is narrower": """graph g(%x: f32[N, T, 8]) {
      %z = broadcast_to(0.0, shape=(4, 8))
      %0 = scan(%z, %x, carries=1, sequences=1) {
        (%c0: f32[4, 8], %x0: f32[N, 8])
        %0.0 = sum(%x0, axes=(0,))
        %0.1 = add(%c0, %0.0)
        return %0.1
      }
      %1 = item(%0, index=0)
      return %1 }""",
}
