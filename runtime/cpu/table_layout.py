"""The layout of the memory that the interpreter and the thread pool work on, as word offsets.

The kernels that read it are compiled texts (`interpreter`, `team_lead`, `team_member`);
`dispatcher` and `thread_pool`, which fill it, need these numbers without the compiler.
"""

# Rows of the table.
ROW = 8
LAUNCH, TILE, LOOP, IF, WHILE = range(5)

# The header: addresses and sizes of one call.
CODE, ROWS, ARGS, PATCHES, SCRATCH, SCRATCH_WORDS, COUNTERS, COUNTER_WORDS = range(8)
PROGRESS, TIMES, INTERPRETER = range(8, 11)
HEADER_WORDS = 16

# Progress of a run, a cache line each: the next number to take, how many are done, and decisions.
TICKET, DONE, DECIDED = 0, 16, 32
PROGRESS_WORDS = 48

# Decisions: how many there were times SPAN, and the last of them as bits, the latest the lowest.
REMEMBERED = 24
SPAN = 1 << REMEMBERED

# A frame of the stack: one loop or tile that is being run.
FRAME = 8
DEPTH = 16
STACK_WORDS = FRAME * DEPTH
KIND, BODY, AFTER, INDEX, STOP, TABLE_ROW, OUTER_TILE = range(7)

# Words of a pool, a pair of cache lines each.
EPOCH, GATE, LEFT, SLEEPERS, HEADER, LIMIT = 0, 16, 32, 48, 64, 65
POOL_WORDS = 80

# The gate: the run's number times RUNS, a flag once it is closed, and how many have joined.
RUNS = 65536
CLOSED = 32768
JOINED = 32768
