"""Where a thread cannot take its samples through a step by themselves, with the reason of each."""

CODES = {
    "DEPTH_FIRST": """graph g(%x: f32[N, 6, 6, 3]) {
        $u : f32[3, 3, 3, 8] $v : f32[3, 3, 8, 4]
        %0 = conv2d(%x, $u)
        %1 = conv2d(%0, $v)
        return %1 }""",
    "NO_BATCH": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = transpose(%x, axes=(1, 0))
        %1 = matmul($w, %0)
        return %1 }""",
    "COUNTS_SAMPLES": """graph g(%x: f32[N, 8], %key: i32[2]) {
        %0 = random_uniform(%key, shape=(N, 8))
        %1 = multiply(%x, %0)
        return %1 }""",
    "MIXES_SAMPLES": """graph g(%x: f32[N, 8]) {
        %0 = flip(%x, axes=(0,))
        %1 = add(%0, %x)
        return %1 }""",
    "NOT_LINEAR": """graph g(%x: f32[N, N]) {
        %0 = exp(%x)
        return %0 }""",
    # So many weights, known at run time and the same for all samples, are packed first.
    "SHARED_WEIGHTS": """graph g(%x: f32[N, 2, 1025], %w: f32[1025, 1024]) {
        %0 = matmul(%x, %w)
        return %0 }""",
    "WEIGHTS": """graph g(%h: f32[N, 192], %x: f32[N, T, 192]) {
        $u : f32[192, 192]
        %0 = scan(%h, %x, $u, carries=1, sequences=1) {
          (%c0: f32[N, 192], %x0: f32[N, 192], %w0: f32[192, 192])
          %0.0 = matmul(%c0, %w0)
          %0.1 = add(%0.0, %x0)
          %0.2 = tanh(%0.1)
          return %0.2, %0.2
        }
        %1 = item(%0, index=1)
        return %1 }""",
    "DATA_DECIDE": """graph g(%x: f32[N, 4]) {
        $w : f32[4, 4]
        %0 = multiply(%x, %x)
        %1 = sum(%0, axes=(0, 1))
        %2 = greater(%1, 0.0)
        %3 = cond(%2, %x, $w) { (%w0: f32[N, 4], %w1: f32[4, 4])
          %3.0 = matmul(%w0, %w1)
          return %3.0
        } otherwise { (%w0: f32[N, 4], %w1: f32[4, 4])
          return %w0
        }
        %4 = item(%3, index=0)
        return %4 }""",
    "TIME_MAJOR": """graph g(%h: f32[N, 4], %x: f32[N, T, 4]) {
        %0 = scan(%h, %x, carries=1, sequences=1) {
          (%c0: f32[N, 4], %x0: f32[N, 4])
          %0.0 = add(%c0, %x0)
          %0.1 = tanh(%0.0)
          return %0.1, %0.1
        }
        %1 = item(%0, index=1)
        %2 = scan(%h, %1, carries=1, sequences=1, reverse=True) {
          (%c0: f32[N, 4], %x0: f32[N, 4])
          %2.0 = subtract(%c0, %x0)
          %2.1 = tanh(%2.0)
          return %2.1, %2.1
        }
        %3 = item(%2, index=1)
        return %3 }""",
}

SILENT = {
    "the largest over all samples": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = matmul(%x, $w)
        %1 = max(%0, axes=(0,), keepdims=True)
        %2 = subtract(%0, %1)
        return %2 }""",
    "samples side by side": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = matmul(%x, $w)
        %1 = concatenate(%0, %x, axis=0)
        %2 = exp(%1)
        return %2 }""",
    "a value a sample, added along another axis": """graph g(%x: f32[N, N], %y: f32[N]) {
        %0 = add(%x, %y)
        %1 = exp(%0)
        %2 = sum(%1, axes=(1,))
        return %2 }""",
    "each sample's row of a table that samples make": """graph g(%x: f32[N, 8], %i: i32[N]) {
        %0 = exp(%x)
        %1 = gather(%0, %i, axis=0)
        %2 = sin(%1)
        return %2 }""",
    # What goes into the tile is still read when the first samples come out of it.
    "convolutions between samples in reverse": """graph g(%x: f32[N, 6, 6, 1]) {
        $u : f32[3, 3, 1, 8] $v : f32[3, 3, 8, 40]
        %0 = flip(%x, axes=(0,))
        %1 = conv2d(%0, $u)
        %2 = conv2d(%1, $v)
        %3 = flip(%2, axes=(0,))
        return %3 }""",
    "every second sample": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = matmul(%x, $w)
        %1 = repeat(%0, factors=(2, 1))
        %2 = sin(%1)
        return %2 }""",
    "images of which one kernel is made": """graph g(%x: f32[N, 6], %y: f32[N, 6]) {
        %0 = exp(%x)
        %1 = transpose(%0, axes=(1, 0))
        %2 = sin(%y)
        %3 = matmul(%1, %2)
        return %3 }""",
    "a loop over samples": """graph g(%h: f32[4], %x: f32[N, 4]) {
        %0 = scan(%h, %x, carries=1, sequences=1, axis=0) {
          (%c0: f32[4], %x0: f32[4])
          %0.0 = add(%c0, %x0)
          %0.1 = tanh(%0.0)
          return %0.1, %0.1
        }
        %1 = item(%0, index=1)
        return %1 }""",
    "a loop whose steps mix samples": """graph g(%h: f32[N, 4], %x: f32[N, T, 4]) {
        %0 = scan(%h, %x, carries=1, sequences=1) {
          (%c0: f32[N, 4], %x0: f32[N, 4])
          %0.0 = add(%c0, %x0)
          %0.1 = max(%0.0, axes=(0,), keepdims=True)
          %0.2 = subtract(%0.0, %0.1)
          return %0.2, %0.2
        }
        %1 = item(%0, index=1)
        return %1 }""",
}
