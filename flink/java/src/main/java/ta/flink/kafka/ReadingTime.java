package ta.flink.kafka;

/**
 * How long a reader has been reading: the time in which a partition that gives nothing is silent, and not cut off.
 *
 * <p>A broker that stands still looks like a market that does: nothing comes. The platform's clock tells them apart. It
 * writes once a second through the same broker, so a reader that has seen it counts the time up to each record only
 * when the record before it is not longer ago than the clock can be; what passed in an outage counts for nobody, and
 * nobody is left behind when the broker is back. A reader that has never seen the clock has the wall clock only, and the
 * time for which it has waited for the clock.
 *
 * <p>Milliseconds of a steady clock, which is the caller's; not thread-safe.
 */
final class ReadingTime {

    /** Two periods of the clock, and half a one: a tick may be late or be lost. */
    static final long LONGEST_GAP_MILLIS = 2_500;

    /** When its first record came; until then, when it was made. */
    private long sinceMillis;
    private boolean begun;
    private boolean clocked;
    private long readMillis;
    private long countedMillis;

    ReadingTime(long nowMillis) {
        sinceMillis = nowMillis;
    }

    /** A record came; returns the time read, this moment included. */
    long record(long nowMillis, boolean isTick) {
        clocked |= isTick;
        if (!begun) {
            begun = true;
            sinceMillis = nowMillis;
            countedMillis = nowMillis;
            return readMillis;
        }
        return count(nowMillis, !clocked || nowMillis - countedMillis <= LONGEST_GAP_MILLIS);
    }

    /** The time read so far; none before the first record. */
    long at(long nowMillis) {
        return begun && !clocked ? count(nowMillis, true) : readMillis;
    }

    /** Whether any record came. */
    boolean isBegun() {
        return begun;
    }

    /** The time since the first record; before it, since the reader was made. */
    long waited(long nowMillis) {
        return nowMillis - sinceMillis;
    }

    /** Whether the clock's records are among those that came. */
    boolean isClocked() {
        return clocked;
    }

    private long count(long nowMillis, boolean read) {
        if (read) {
            readMillis += nowMillis - countedMillis;
        }
        countedMillis = nowMillis;
        return readMillis;
    }
}
