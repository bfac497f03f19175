/* A plain single-producer single-consumer ring for comparison with okimi's, and the same loops.
 *
 * Indices on line pairs of their own, each side keeps a copy of the other side's index and looks
 * again only when the copy is used up. Slots are 64 bytes: a sequence and seven words that follow
 * from it. Compiled by tools.bench.ring.peers at run time; everything lies in shared memory.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#define WORDS 8
#define STEP 0x9E3779B97F4A7C1ULL

typedef struct {
    _Alignas(128) _Atomic uint64_t tail; /* slots published; written by the producer */
    uint64_t head_seen;                  /* the producer's copy of head */
    _Alignas(128) _Atomic uint64_t head; /* slots consumed; written by the consumer */
    uint64_t tail_seen;                  /* the consumer's copy of tail */
    _Alignas(128) uint64_t slot_count;   /* a power of two */
    _Alignas(128) uint64_t slots[];
} ring_t;

typedef struct {
    int64_t began_ns, ended_ns, misplaced, checksum; /* as Tally in loops.py */
} tally_t;

static int64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline int64_t ticks(int tsc) {
#if defined(__x86_64__)
    if (tsc) return (int64_t)__builtin_ia32_rdtsc();
#endif
    return monotonic_ns();
}

int64_t ring_bytes(int64_t slots) { return (int64_t)sizeof(ring_t) + slots * WORDS * 8; }

void ring_init(ring_t *ring, int64_t slots) { ring->slot_count = (uint64_t)slots; }

static inline uint64_t *slot(ring_t *ring, uint64_t position) {
    return ring->slots + (position & (ring->slot_count - 1)) * WORDS;
}

static inline uint64_t room(ring_t *ring, uint64_t position, uint64_t wanted) {
    uint64_t free = ring->head_seen + ring->slot_count - position;
    if (free < wanted) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        free = ring->head_seen + ring->slot_count - position;
    }
    return free < wanted ? free : wanted;
}

static inline uint64_t filled(ring_t *ring, uint64_t position, uint64_t wanted) {
    if (ring->tail_seen - position < wanted)
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    uint64_t count = ring->tail_seen - position;
    return count < wanted ? count : wanted;
}

static inline void fill(uint64_t *words, uint64_t sequence) {
    words[0] = sequence;
    for (uint64_t word = 1; word < WORDS; word++) words[word] = word * STEP + sequence;
}

static inline uint64_t fold(const uint64_t *words) {
    uint64_t total = words[0];
    for (int word = 1; word < WORDS; word++) total ^= words[word];
    return total;
}

void ring_send(ring_t *ring, int64_t total, int64_t batch) {
    uint64_t sent = 0, end = (uint64_t)total;
    uint64_t position = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    while (sent < end) {
        uint64_t wanted = end - sent < (uint64_t)batch ? end - sent : (uint64_t)batch;
        uint64_t count = room(ring, position, wanted);
        for (uint64_t i = 0; i < count; i++) fill(slot(ring, position + i), position + i + 1);
        if (count) {
            position += count;
            atomic_store_explicit(&ring->tail, position, memory_order_release);
            sent += count;
        }
    }
}

void ring_receive(ring_t *ring, tally_t *tally, int64_t warm, int64_t total, int64_t batch) {
    uint64_t received = 0, until = (uint64_t)warm, checksum = 0, misplaced = 0;
    uint64_t position = atomic_load_explicit(&ring->head, memory_order_relaxed);
    while (received < (uint64_t)total) {
        uint64_t left = until - received;
        uint64_t count = filled(ring, position, left < (uint64_t)batch ? left : (uint64_t)batch);
        for (uint64_t i = 0; i < count; i++) {
            const uint64_t *words = slot(ring, position + i);
            misplaced += words[0] != position + i + 1;
            checksum = checksum * 31 + fold(words);
        }
        if (count) {
            position += count;
            atomic_store_explicit(&ring->head, position, memory_order_release);
            received += count;
            if (received == until) {
                if (until == (uint64_t)warm) tally->began_ns = monotonic_ns();
                until = (uint64_t)total;
            }
        }
    }
    tally->ended_ns = monotonic_ns();
    tally->checksum = (int64_t)checksum;
    tally->misplaced = (int64_t)misplaced;
}

void ring_ping(ring_t *out, ring_t *back, tally_t *tally, int64_t *samples, int64_t trips,
               int tsc) {
    uint64_t checksum = 0, misplaced = 0;
    int64_t before = ticks(tsc);
    for (uint64_t trip = 1; trip <= (uint64_t)trips; trip++) {
        while (!room(out, trip - 1, 1)) {}
        fill(slot(out, trip - 1), trip);
        atomic_store_explicit(&out->tail, trip, memory_order_release);
        while (!filled(back, trip - 1, 1)) {}
        const uint64_t *words = slot(back, trip - 1);
        misplaced += words[0] != trip;
        checksum = checksum * 31 + fold(words);
        atomic_store_explicit(&back->head, trip, memory_order_release);
        int64_t after = ticks(tsc);
        samples[trip - 1] = after - before;
        before = after;
    }
    tally->checksum = (int64_t)checksum;
    tally->misplaced = (int64_t)misplaced;
}

void ring_pong(ring_t *out, ring_t *back, int64_t trips) {
    for (uint64_t trip = 1; trip <= (uint64_t)trips; trip++) {
        while (!filled(out, trip - 1, 1)) {}
        while (!room(back, trip - 1, 1)) {}
        const uint64_t *source = slot(out, trip - 1);
        uint64_t *target = slot(back, trip - 1);
        for (int word = 0; word < WORDS; word++) target[word] = source[word];
        atomic_store_explicit(&out->head, trip, memory_order_release);
        atomic_store_explicit(&back->tail, trip, memory_order_release);
    }
}
