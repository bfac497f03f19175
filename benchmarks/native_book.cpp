// The design of engine/book.py, orders.py, trading.py and amending.py in C++: the native limit.
//
// `okimi bench book` compiles it where a C++ compiler is found and plays the same decisions through
// it and through the engine; the events must be equal byte for byte. It knows plain orders only
// (limit and market, GTC, IOC, FOK, post-only; cancel, amend) and does less than the engine: no
// rings, no slices of long sweeps, no clock, no histogram, no state hash.
//
// "layout.hpp" is made by tools/bench/native.py from the declarations in engine/: the messages,
// the values of the enumerations, the limits. Nothing is declared twice.

#include <algorithm>
#include <functional>
#include <iterator>

#include "layout.hpp"

#define COLD __attribute__((noinline))

namespace {

constexpr uint32_t NONE = 0;  // no order, no chunk: slot 0 is never used

struct Level { int64_t lots; uint32_t head, tail; };  // lots: what its orders have open

struct alignas(64) Chunk {  // 64 neighbouring prices of one side
    int64_t key, next_free;
    uint64_t bitmap;
    Level levels[CHUNK_TICKS];
};

struct alignas(64) SideBook {
    int64_t best_key, count;
    uint32_t hot[HOT_CHUNKS];           // chunks by the low bits of their key, without a search
    int64_t keys[CHUNKS_PER_SIDE_MAX];  // descending: the best is last
    uint32_t chunks[CHUNKS_PER_SIDE_MAX];
};

struct alignas(64) Order {
    int64_t order_id, price_key, leaves_lots, qty_lots;
    uint32_t next, previous, chunk, chained, account, instrument;
    uint8_t side, post_only;
};

struct Books {
    int64_t match_id, checksum, events_made;
    int64_t orders_limit, orders_live, orders_used, orders_free;
    int64_t chunks_limit, chunks_live, chunks_used, chunk_free;
    uint32_t map[ORDER_MAP_SLOTS];
    Order orders[ORDERS_MAX];
    Chunk chunks[CHUNKS_MAX];
    SideBook sides[2 * INSTRUMENTS_MAX];
};

struct Taker {  // the order that is trading: what its decision says, and how far it has come
    const Decision& cause;
    uint8_t side, order_type, time_in_force, post_only;
    uint32_t slot;
    int64_t total_lots, leaves_lots, limit_key;
    bool may_rest() const {
        return order_type == OrderType::LIMIT && time_in_force == TimeInForce::GTC;
    }
};

inline int64_t key_of(int64_t price_ticks, int64_t side) { return price_ticks ^ (side - 1); }
inline uint64_t bit_of(int64_t price_key) { return 1ull << (price_key & (CHUNK_TICKS - 1)); }
inline uint8_t level_flag(int64_t side) { return uint8_t(EventFlag::LEVEL_BID << side); }

struct Engine {
    Books& books;
    char* events;  // event n has the slot n & mask
    int64_t mask;

    void execute(const Decision& decision) {
        if (decision.reason != RejectReason::NONE) return refuse(decision, decision.reason);
        if (decision.kind == CommandKind::NEW) return new_order(decision);
        uint32_t index = find_owned(decision);
        if (index == NONE) refuse(decision, RejectReason::UNKNOWN_ORDER);
        else if (decision.kind == CommandKind::AMEND) amend(decision, index);
        else remove(decision, index, RejectReason::CANCELED_BY_CLIENT);
    }

    SideBook& side_of(int64_t instrument, int64_t side) const {
        return books.sides[instrument * 2 + side];
    }

    Order& named(const Decision& decision) const {
        return books.orders[books.map[decision.order_id & (ORDER_MAP_SLOTS - 1)]];
    }

    Chunk& hot_chunk(const Decision& cause) const {
        int64_t key = key_of(cause.price_ticks, cause.side) >> CHUNK_BITS;
        return books.chunks[side_of(cause.instrument, cause.side).hot[key & (HOT_CHUNKS - 1)]];
    }

    Level& hot_level(const Decision& cause) const {
        return hot_chunk(cause).levels[key_of(cause.price_ticks, cause.side) & (CHUNK_TICKS - 1)];
    }

    // Out of line, some compilers take it for a function without effect and drop the call.
    inline __attribute__((always_inline)) void look_ahead(const Decision* decision) const {
        __builtin_prefetch(&books.map[decision[FAR].order_id & (ORDER_MAP_SLOTS - 1)]);
        const Decision &middle = decision[MIDDLE], &near = decision[NEAR];
        if (middle.kind != CommandKind::NEW) {
            __builtin_prefetch(&named(middle));
        } else if (middle.reason == RejectReason::NONE) {
            __builtin_prefetch(&hot_chunk(middle));
            __builtin_prefetch(&hot_level(middle));
        }
        if (near.kind != CommandKind::NEW) {
            const Order& order = named(near);
            __builtin_prefetch(&books.chunks[order.chunk]);
            __builtin_prefetch(&level_of(order));
            __builtin_prefetch(&books.orders[order.next]);
            __builtin_prefetch(&books.orders[order.previous]);
        } else if (near.reason == RejectReason::NONE) {
            __builtin_prefetch(&books.orders[hot_level(near).tail]);
        }
    }

    template <class Kind>
    Kind& begin(const Decision& cause, uint8_t kind, uint8_t flags, int64_t level_lots) {
        Kind& event = *reinterpret_cast<Kind*>(events + (books.events_made & mask) * MESSAGE_BYTES);
        event.sequence = ++books.events_made;
        event.kind = kind, event.flags = flags, event.source = cause.source, event.reason = 0;
        event.account = cause.account, event.instrument = cause.instrument;
        event.order_id = cause.order_id, event.level_lots = level_lots;
        event.dseq = cause.sequence, event.source_sequence = cause.source_sequence;
        event.time_ns = cause.time_ns;
        books.checksum = int64_t(uint64_t(books.checksum) * 31 + uint64_t(cause.order_id)
                                 + uint64_t(level_lots));
        return event;
    }

    template <class Kind>
    static void repeat(Kind& event, const Decision& cause, uint16_t reason) {
        event.reason = reason, event.side = cause.side, event.price_ticks = cause.price_ticks;
        event.order_type = cause.order_type, event.time_in_force = cause.time_in_force;
        event.qty_lots = cause.qty_lots;
    }

    void order_event(const Decision& cause, uint8_t kind, uint8_t flags, uint16_t reason,
                     int64_t level_lots) {
        if (cause.flags & CommandFlag::POST_ONLY) flags |= EventFlag::POST_ONLY;
        OrderEvent& event = begin<OrderEvent>(cause, kind, flags, level_lots);
        repeat(event, cause, reason);
        std::copy_n(cause.client_order_id, std::size(event.client_order_id), event.client_order_id);
    }

    ChangeEvent& change(const Decision& cause, uint8_t kind, uint8_t flags, int64_t level_lots) {
        ChangeEvent& event = begin<ChangeEvent>(cause, kind, flags, level_lots);
        event.order_type = OrderType::LIMIT, event.time_in_force = TimeInForce::GTC;
        event.leaves_lots = event.previous_price_ticks = 0;
        event.trigger_ticks = event.display_lots = 0;
        return event;
    }

    ChangeEvent& rest_of(const Taker& taker, uint8_t kind, uint8_t flags, int64_t level_lots) {
        ChangeEvent& event = change(taker.cause, kind, flags | EventFlag::LAST, level_lots);
        event.side = taker.side, event.price_ticks = taker.cause.price_ticks;
        event.qty_lots = taker.total_lots, event.leaves_lots = taker.leaves_lots;
        return event;
    }

    COLD void refuse(const Decision& cause, uint16_t reason) {
        if (cause.kind == CommandKind::NEW)
            return order_event(cause, EventKind::REJECTED, EventFlag::LAST, reason, 0);
        bool amends = cause.kind == CommandKind::AMEND;
        uint8_t kind = amends ? EventKind::REPLACE_REJECTED : EventKind::CANCEL_REJECTED;
        repeat(change(cause, kind, EventFlag::LAST, 0), cause, reason);
    }

    COLD void end_unfilled(const Taker& taker, uint16_t reason) {
        ChangeEvent& event = rest_of(taker, EventKind::CANCELED, 0, 0);
        event.order_type = taker.order_type, event.time_in_force = taker.time_in_force;
        event.reason = reason;
    }

    uint32_t find_owned(const Decision& decision) const {
        uint32_t index = books.map[decision.order_id & (ORDER_MAP_SLOTS - 1)];
        while (index != NONE && books.orders[index].order_id != decision.order_id)
            index = books.orders[index].chained;
        const Order& order = books.orders[index];
        bool own = order.account == decision.account && order.instrument == decision.instrument;
        return own ? index : NONE;
    }

    uint32_t take_slot(int64_t order_id) {
        uint32_t index = uint32_t(books.orders_free);
        if (index != NONE) books.orders_free = books.orders[index].chained;
        else index = uint32_t(++books.orders_used);
        books.orders_live += 1;
        uint32_t& entry = books.map[order_id & (ORDER_MAP_SLOTS - 1)];
        books.orders[index].order_id = order_id, books.orders[index].chained = entry;
        return entry = index;
    }

    void return_slot(uint32_t index) {
        Order& order = books.orders[index];
        uint32_t* entry = &books.map[order.order_id & (ORDER_MAP_SLOTS - 1)];
        while (*entry != index) entry = &books.orders[*entry].chained;
        *entry = order.chained;
        order.order_id = 0, order.chained = uint32_t(books.orders_free);
        books.orders_free = index, books.orders_live -= 1;
    }

    Level& level_of(const Order& order) const {
        return books.chunks[order.chunk].levels[order.price_key & (CHUNK_TICKS - 1)];
    }

    static int64_t chunk_place(const SideBook& side, int64_t key) {
        const int64_t* end = side.keys + side.count;
        return std::lower_bound(side.keys, end, key, std::greater<int64_t>()) - side.keys;
    }

    COLD uint32_t find_or_add_chunk(SideBook& side, int64_t key) {
        int64_t place = chunk_place(side, key);
        uint32_t& hot = side.hot[key & (HOT_CHUNKS - 1)];
        if (place < side.count && side.keys[place] == key) return hot = side.chunks[place];
        if (side.count == CHUNKS_PER_SIDE_MAX || books.chunks_live >= books.chunks_limit)
            return NONE;
        uint32_t index = uint32_t(books.chunk_free);
        if (index != NONE) books.chunk_free = books.chunks[index].next_free;
        else index = uint32_t(++books.chunks_used);
        books.chunks_live += 1, books.chunks[index].key = key;
        for (int64_t at = side.count++; at > place; at--)
            side.keys[at] = side.keys[at - 1], side.chunks[at] = side.chunks[at - 1];
        side.keys[place] = key, side.chunks[place] = index;
        return hot = index;
    }

    COLD void drop_chunk(SideBook& side, uint32_t index) {
        Chunk& chunk = books.chunks[index];
        int64_t at = chunk_place(side, chunk.key);
        for (side.count -= 1; at < side.count; at++)
            side.keys[at] = side.keys[at + 1], side.chunks[at] = side.chunks[at + 1];
        uint32_t& hot = side.hot[chunk.key & (HOT_CHUNKS - 1)];
        if (hot == index) hot = NONE;
        chunk.next_free = books.chunk_free;
        books.chunk_free = index, books.chunks_live -= 1;
    }

    uint32_t can_rest(SideBook& side, int64_t price_key, int64_t lots) {
        int64_t key = price_key >> CHUNK_BITS;
        uint32_t index = side.hot[key & (HOT_CHUNKS - 1)];
        if (index == NONE || books.chunks[index].key != key) index = find_or_add_chunk(side, key);
        const Level& level = books.chunks[index].levels[price_key & (CHUNK_TICKS - 1)];
        return level.lots <= LEVEL_LOTS_MAX - lots ? index : NONE;
    }

    int64_t link(SideBook& side, uint32_t slot, uint32_t chunk_index) {
        Order& order = books.orders[slot];
        order.chunk = chunk_index, order.next = order.previous = NONE;
        Level& level = level_of(order);
        if (level.lots == 0) {
            level.head = slot;
            books.chunks[chunk_index].bitmap |= bit_of(order.price_key);
            if (order.price_key < side.best_key) side.best_key = order.price_key;
        } else {
            order.previous = level.tail;
            books.orders[level.tail].next = slot;
        }
        level.tail = slot;
        return level.lots += order.leaves_lots;
    }

    int64_t unlink(SideBook& side, uint32_t slot) {
        const Order& order = books.orders[slot];
        Level& level = level_of(order);
        (order.previous == NONE ? level.head : books.orders[order.previous].next) = order.next;
        (order.next == NONE ? level.tail : books.orders[order.next].previous) = order.previous;
        level.lots -= order.leaves_lots;
        if (level.head == NONE) close_level(side, order.chunk, order.price_key);
        return level.lots;
    }

    void close_level(SideBook& side, uint32_t chunk_index, int64_t price_key) {
        Chunk& chunk = books.chunks[chunk_index];
        chunk.bitmap &= ~bit_of(price_key);
        if (chunk.bitmap == 0) drop_chunk(side, chunk_index);
        if (price_key != side.best_key) return;
        side.best_key = NO_KEY;
        if (side.count == 0) return;
        const Chunk& best = books.chunks[side.chunks[side.count - 1]];
        side.best_key = (best.key << CHUNK_BITS) | __builtin_ctzll(best.bitmap);
    }

    bool can_fill(const SideBook& side, int64_t limit_key, int64_t wanted) const {
        int64_t looked = 0;
        for (int64_t at = side.count - 1; at >= 0; at--) {
            const Chunk& chunk = books.chunks[side.chunks[at]];
            for (uint64_t bits = chunk.bitmap; bits != 0; bits &= bits - 1) {
                int64_t number = __builtin_ctzll(bits);
                bool beyond = ((chunk.key << CHUNK_BITS) | number) > limit_key;
                if (beyond || looked++ == LOOK_MAX) return false;
                wanted -= chunk.levels[number].lots;
                if (wanted <= 0) return true;
            }
        }
        return false;
    }

    int64_t rest(const Taker& taker, uint32_t index, uint32_t chunk) {
        Order& order = books.orders[index];
        order.price_key = key_of(taker.cause.price_ticks, taker.side), order.side = taker.side;
        order.leaves_lots = taker.leaves_lots, order.qty_lots = taker.total_lots;
        order.account = taker.cause.account, order.instrument = taker.cause.instrument;
        order.post_only = taker.post_only;
        return link(side_of(order.instrument, order.side), index, chunk);
    }

    void new_order(const Decision& cause) {
        uint8_t post_only = cause.flags & CommandFlag::POST_ONLY;
        int64_t lots = cause.qty_lots, limit_key = key_of(cause.price_ticks, 1 - cause.side);
        const SideBook& opposite = side_of(cause.instrument, 1 - cause.side);
        Taker taker{cause, cause.side, cause.order_type, cause.time_in_force, post_only,
                    NONE, lots, lots, limit_key};
        bool rests = taker.may_rest(), crosses = opposite.best_key <= limit_key;
        if (crosses && rests && post_only) return refuse(cause, RejectReason::WOULD_TRADE);
        if (rests && books.orders_live >= books.orders_limit)
            return refuse(cause, RejectReason::BOOK_FULL);
        if (crosses || !rests) {
            order_event(cause, EventKind::ACCEPTED, 0, 0, 0);
            if (cause.time_in_force != TimeInForce::FOK || can_fill(opposite, limit_key, lots))
                return sweep(taker);
            return end_unfilled(taker, RejectReason::FOK_UNFILLABLE);
        }
        SideBook& own = side_of(cause.instrument, cause.side);
        uint32_t chunk = can_rest(own, key_of(cause.price_ticks, cause.side), lots);
        if (chunk == NONE) return refuse(cause, RejectReason::BOOK_FULL);
        int64_t level_lots = rest(taker, take_slot(cause.order_id), chunk);
        uint8_t flags = EventFlag::LAST | level_flag(cause.side);
        order_event(cause, EventKind::ACCEPTED, flags, 0, level_lots);
    }

    void sweep(Taker& taker) {
        SideBook& opposite = side_of(taker.cause.instrument, 1 - taker.side);
        while (taker.leaves_lots > 0 && opposite.best_key <= taker.limit_key)
            fill_best(taker, opposite);
        if (taker.leaves_lots > 0) settle_rest(taker);
        else if (taker.slot != NONE) return_slot(taker.slot);
    }

    void fill_best(Taker& taker, SideBook& opposite) {
        int64_t key = opposite.best_key;
        uint32_t chunk = opposite.chunks[opposite.count - 1];
        Level& level = books.chunks[chunk].levels[key & (CHUNK_TICKS - 1)];
        uint32_t slot = level.head;
        Order& maker = books.orders[slot];
        int64_t lots = std::min(maker.leaves_lots, taker.leaves_lots);
        maker.leaves_lots -= lots, taker.leaves_lots -= lots, level.lots -= lots;
        uint8_t flags = level_flag(maker.side) | (taker.leaves_lots == 0 ? EventFlag::LAST : 0);
        TradeEvent& event = begin<TradeEvent>(taker.cause, EventKind::TRADE, flags, level.lots);
        event.side = taker.side;
        event.order_type = taker.order_type, event.time_in_force = taker.time_in_force;
        event.price_ticks = key_of(key, maker.side), event.qty_lots = lots;
        event.leaves_lots = taker.leaves_lots, event.match_id = ++books.match_id;
        event.maker_order_id = maker.order_id, event.maker_leaves_lots = maker.leaves_lots;
        event.maker_account = maker.account;
        if (maker.leaves_lots > 0) return;
        level.head = maker.next;
        if (level.head == NONE) close_level(opposite, chunk, key);
        else books.orders[level.head].previous = NONE;
        return_slot(slot);
    }

    void settle_rest(const Taker& taker) {
        SideBook& own = side_of(taker.cause.instrument, taker.side);
        int64_t key = key_of(taker.cause.price_ticks, taker.side);
        uint32_t chunk = taker.may_rest() ? can_rest(own, key, taker.leaves_lots) : NONE;
        if (chunk == NONE) {
            if (taker.slot != NONE) return_slot(taker.slot);
            bool full = taker.may_rest();
            end_unfilled(taker, full ? RejectReason::BOOK_FULL : RejectReason::IOC_REMAINDER);
            return;
        }
        uint32_t index = taker.slot != NONE ? taker.slot : take_slot(taker.cause.order_id);
        rest_of(taker, EventKind::RESTED, level_flag(taker.side), rest(taker, index, chunk));
    }

    void remove(const Decision& decision, uint32_t index, uint16_t reason) {
        const Order& order = books.orders[index];
        int64_t level_lots = unlink(side_of(order.instrument, order.side), index);
        uint8_t flags = EventFlag::LAST | level_flag(order.side);
        ChangeEvent& event = change(decision, EventKind::CANCELED, flags, level_lots);
        event.reason = reason, event.side = order.side;
        event.price_ticks = key_of(order.price_key, order.side);
        event.qty_lots = order.qty_lots, event.leaves_lots = order.leaves_lots;
        return_slot(index);
    }

    void amend(const Decision& decision, uint32_t index) {
        Order& order = books.orders[index];
        int64_t filled = order.qty_lots - order.leaves_lots, leaves = decision.qty_lots;
        if (!(decision.flags & CommandFlag::LEAVES)) leaves -= filled;
        if (leaves <= 0) return remove(decision, index, RejectReason::REDUCED_TO_FILLED);
        uint8_t side = order.side;
        int64_t limit_key = key_of(decision.price_ticks, 1 - side), level_lots;
        if (order.post_only || decision.flags & CommandFlag::POST_ONLY) {
            if (side_of(order.instrument, 1 - side).best_key <= limit_key)
                return refuse(decision, RejectReason::WOULD_TRADE);
            order.post_only = 1;
        }
        bool stays = key_of(decision.price_ticks, side) == order.price_key
                     && leaves <= order.leaves_lots && !(decision.flags & CommandFlag::REQUEUE);
        if (stays) {
            level_lots = level_of(order).lots -= order.leaves_lots - leaves;
            order.qty_lots = filled + leaves, order.leaves_lots = leaves;
        } else {
            level_lots = unlink(side_of(order.instrument, side), index);
        }
        uint8_t flags = level_flag(side) | (stays ? EventFlag::LAST : 0);
        ChangeEvent& event = change(decision, EventKind::REPLACED, flags, level_lots);
        event.side = side, event.price_ticks = decision.price_ticks;
        event.previous_price_ticks = key_of(order.price_key, side);
        event.qty_lots = filled + leaves, event.leaves_lots = leaves;
        if (stays) return;
        Taker taker{decision, side, OrderType::LIMIT, TimeInForce::GTC, order.post_only,
                    index, filled + leaves, leaves, limit_key};
        sweep(taker);
    }
};

}  // namespace

extern "C" int64_t native_bytes() { return sizeof(Books); }
extern "C" int64_t native_trades(const Books* books) { return books->match_id; }
extern "C" int64_t native_checksum(const Books* books) { return books->checksum; }
extern "C" int64_t native_resting(const Books* books) { return books->orders_live; }

// Set up zeroed memory.
extern "C" void native_create(Books* books, int64_t orders_limit, int64_t chunks_limit) {
    books->orders_limit = orders_limit, books->chunks_limit = chunks_limit;
    for (SideBook& side : books->sides) side.best_key = NO_KEY;
}

// Execute `count` decisions; event n goes to slot n & mask. Returns the events made so far.
extern "C" int64_t native_play(Books* books, const Decision* decisions, int64_t count,
                               char* events, int64_t mask) {
    Engine engine{*books, events, mask};
    for (int64_t at = 0; at < count; at++) {
        bool foreseen = at + FAR < count && books->orders_live >= LIVE_ORDERS_MIN;
        if (foreseen) engine.look_ahead(decisions + at);
        engine.execute(decisions[at]);
    }
    return books->events_made;
}
