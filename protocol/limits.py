"""Every limit of the wire, one per line: docs/protocol.md repeats this table and a test compares it.

Invariant: what a peer may make this process hold or do is bounded by a number on this page, a small one before sign-in.
"""

KIB = 1024
MIB = 1024 * KIB

# Frames of the conversation (inside HTTP/2 DATA)
SMALL_HEADER_BYTES_MAX = 4 * KIB  # bytes; header of a request that holds ids, names and numbers only
OPEN_HEADER_BYTES_MAX = 16 * KIB  # bytes; `hello` and `register`, which needs about 2 KiB
CODES_HEADER_BYTES_MAX = 24 * KIB  # bytes; `run.end`: warning codes
BATCH_HEADER_BYTES_MAX = 192 * KIB  # bytes; `chunk.upload`: 4,096 lengths and cids
SLOTS_HEADER_BYTES_MAX = 2_112 * KIB  # bytes; `keyring.create`: all slots
CHANGE_HEADER_BYTES_MAX = 2_624 * KIB  # bytes; `keyring.slots`: all slots, and keys for each job of the keyring
ORDER_HEADER_BYTES_MAX = 68 * KIB  # bytes; `restore.order`: a restore order beside names
JOB_HEADER_BYTES_MAX = 1 * MIB  # bytes; `job.create`: a definition; decoded it costs up to about 8 times this
ANSWER_HEADER_BYTES_MAX = 8 * MIB  # bytes; of an answer: a list of 30,000 safesets (a client reads its own vault)
FRAME_RAW_BYTES_MAX = 16 * MIB  # bytes; of an upload or an answer: 2 MiB usually
ID_BYTES = 32  # bytes; one id in a raw part
ROOT_BYTES = 360  # bytes; a root in a raw part
RECORD_BYTES_MAX = 5 * MIB  # bytes; whole record, header and body (docs/format.md)
OFFER_IDS_MAX = 65_536  # ids; 2 MiB of raw part, one batch of look-ups
BATCH_RECORDS_MAX = 4_096  # records; of one upload or fetch frame
FETCH_IDS_MAX = 4_096  # ids; of one fetch
ROOTS_MAX = 4_096  # roots; of one answer, 1.4 MiB of raw part

# Fields
NAME_CHARACTERS_MAX = 64  # characters; names of accounts, computers and jobs
TEXT_CHARACTERS_MAX = 1_024  # characters; every other text field
PATH_BYTES_MAX = 4_096  # bytes; one included path
PATTERNS_MAX = 1_000  # items; includes and excludes of one job definition
OPTIONS_BYTES_MAX = 16 * KIB  # bytes; options of a job, a map that the vault passes on
DEFINITION_BYTES_MAX = 192 * KIB  # bytes; includes and excludes of a job together, they stand in every payload
COMPUTER_JOBS_MAX = 500  # items; jobs of one computer, with removed ones: so that all of them fit into one answer
COMPUTER_DEFINITIONS_BYTES_MAX = 3 * MIB  # bytes; definitions of the jobs of one computer together
SLOT_BYTES_MAX = 256 * KIB  # bytes; one slot with its keyring
SLOTS_MAX = 8  # items; slots of one keyring
KEYRING_JOBS_MAX = 64  # items; jobs of one keyring
SECRET_BYTES_MAX = 8 * KIB  # bytes; a sealed job secret
ORDER_BYTES_MAX = 64 * KIB  # bytes; a sealed restore order with its paths
SEALED_KEY_BYTES_MAX = 1_230  # bytes; a sealed run key: KEM 1, the larger
SEALED_KEYS_MAX = 4_096  # items; sealed run keys in one answer
CERTIFICATE_BYTES_MAX = 8 * KIB  # bytes; a certificate or a request for one
PAYLOAD_BYTES_MAX = 300 * KIB  # bytes; a sealed root payload (plain limit 256 KiB)
SAFESETS_PAGE = 2_000  # items; of one answer of `safeset.list`, about 400 KB
HITS_PAGE = 32  # items; of one answer of `disk.hit`, as many safesets are looked at
LIST_ITEMS_MAX = 65_536  # items; rows of a list answer
ORDERS_SHOWN_MAX = 10_000  # items; of one answer of `restore.orders`, the newest
CODES_MAX = 64  # items; warning codes that a run reports

# HTTP/2 sizes
H2_FRAME_BYTES_OPEN = 16 * KIB  # bytes; MAX_FRAME_SIZE before sign-in, the smallest that HTTP/2 allows
H2_FRAME_BYTES_SIGNED_IN = 256 * KIB  # bytes; MAX_FRAME_SIZE after it, and the largest DATA frame we send
H2_WINDOW_BYTES_OPEN = 65_535  # bytes; stream and connection before sign-in, HTTP/2's own start
STREAM_WINDOW_BYTES = 1 * MIB  # bytes; receive window of a client for an answer that is no stream
BULK_WINDOW_BYTES_MIN = 256 * KIB  # bytes; least window of a bulk stream however many share the budget
BULK_WINDOW_BYTES_MAX = 24 * MIB  # bytes; most window of a bulk stream: in flight or held
CONNECTION_WINDOW_BYTES = 1_280 * MIB  # bytes; connection after sign-in: more than its streams together have
RECEIVE_BUDGET_BYTES = 96 * MIB  # bytes; uploads of the whole process together, in flight or held, unless configured
FETCH_BUDGET_BYTES = 64 * MIB  # bytes; read for restores and large answers of the whole process and not sent yet
STREAMS_OPEN = 8  # streams; at once on a connection before sign-in
STREAMS_SIGNED_IN = 64  # streams; at once on a connection after it
HEADER_LIST_BYTES_MAX = 16 * KIB  # bytes; decoded header list of a request, ours are under 300
HEADER_TABLE_BYTES_MAX = 4_096  # bytes; HPACK table of our encoder, whatever the peer asks for
CLOSED_STREAMS_MAX = 1_024  # streams; closed ones that are remembered
CONTROL_OUTPUT_BYTES_MAX = 256 * KIB  # bytes; answers to control frames that wait for a peer that does not read
RESETS_BURST = 200  # resets; of streams, by either side, at once
RESETS_PER_SECOND = 10  # resets; refill of that bucket
CONTROL_BURST_OPEN = 6_000  # units; before sign-in
CONTROL_BURST = 10_000  # units; after it: a WINDOW_UPDATE costs 1; PING, SETTINGS, unknown and empty frames cost 10
CONTROL_PER_SECOND = 2_000  # units; refill of that bucket
TINY_DATA_BYTES = 256  # bytes; a DATA frame below this that does not end its stream costs 1 unit

# Deadlines
HANDSHAKE_SECONDS = 10  # seconds; TLS handshake
PREFACE_SECONDS = 5  # seconds; from handshake to HTTP/2 preface and SETTINGS
FIRST_REQUEST_SECONDS = 10  # seconds; from handshake to the first complete request header
STRANGER_SECONDS = 60  # seconds; a whole connection on which nobody signs in, whatever it asks
IDLE_SECONDS = 300  # seconds; without any open stream
WORK_SECONDS = 240  # seconds; an `agent.work` to which there is nothing to say
SILENCE_SECONDS = 60  # seconds; open streams but not a byte: one PING, then the connection ends
FRAME_SECONDS = 60  # seconds; for an upload's frame, or a fetch's, while others wait; at most twice that
WRITE_SECONDS = 60  # seconds; without progress of one write or of one stream's output
CLOSE_SECONDS = 2  # seconds; for the last bytes (GOAWAY, close_notify) of a connection that ends

# Buffers of the transport
READ_BYTES = 1_024 * KIB  # bytes; one read of the socket, or of all sockets with more in one turn of the event loop
READ_BYTES_MIN = 64 * KIB  # bytes; one read of a socket however many share a turn
WRITE_BYTES = 1_024 * KIB  # bytes; plaintext that is sealed and written in one go
SEND_BUFFER_BYTES = 4 * MIB  # bytes; the kernel's for sending, where its own limit is no less
