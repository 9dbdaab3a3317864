package ta.flink.trades;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A set of numbers from 0 to 65,535 in a byte array, as a container of Roaring bitmaps: sorted, two bytes each, while
 * they are few; one bit each when they are many.
 *
 * <p>A consolidated tape numbers the trades of all symbols in one row, so those of one symbol are as far apart as there
 * are symbols that trade; a venue of its own counts one by one. Definition: Chambi, Lemire, Kaser and Godin, "Better
 * bitmap performance with Roaring bitmaps" (2016).
 */
final class Numbers {

    /** How many numbers a set can hold. */
    static final int BLOCK = 1 << 16;

    /** Beyond this many, bits take less room. The array of as many numbers is shorter than that of the bits. */
    private static final int MOST_SORTED = 4_000;

    private static final int BITS_LENGTH = BLOCK / Byte.SIZE;
    private static final int FIRST_CAPACITY = 4;
    private static final VarHandle SHORTS = MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.BIG_ENDIAN);

    private Numbers() {}

    /**
     * Adds a number.
     *
     * @param set null: the empty set; it may be changed
     * @param number from 0 to 65,535
     * @return the set with the number in it; null when it was in it
     */
    static byte[] add(byte[] set, int number) {
        if (set == null) {
            byte[] first = new byte[Short.BYTES * (1 + FIRST_CAPACITY)];
            put(first, 0, 1);
            put(first, 1, number);
            return first;
        }
        return set.length == BITS_LENGTH ? addBit(set, number) : addSorted(set, number);
    }

    private static byte[] addBit(byte[] bits, int number) {
        int bit = 1 << (number % Byte.SIZE);
        if ((bits[number / Byte.SIZE] & bit) != 0) {
            return null;
        }
        bits[number / Byte.SIZE] |= (byte) bit;
        return bits;
    }

    /** The first two bytes say how many numbers follow; behind them may be room for more. */
    private static byte[] addSorted(byte[] sorted, int number) {
        int count = get(sorted, 0);
        // Numbers are mostly counted up: the new one is the largest.
        int place = get(sorted, count) < number ? count + 1 : placeOf(sorted, count, number);
        if (place <= count && get(sorted, place) == number) {
            return null;
        }
        if (count == MOST_SORTED) {
            return addBit(toBits(sorted, count), number);
        }
        byte[] target = sorted;
        if (Short.BYTES * (count + 2) > sorted.length) {
            target = Arrays.copyOf(sorted, Short.BYTES * (1 + Math.min(2 * count, MOST_SORTED)));
        }
        System.arraycopy(target, Short.BYTES * place, target, Short.BYTES * (place + 1), Short.BYTES * (count + 1 - place));
        put(target, place, number);
        put(target, 0, count + 1);
        return target;
    }

    /** Where the number stands, or would: the first place, from 1, whose number is not smaller. */
    private static int placeOf(byte[] sorted, int count, int number) {
        int low = 1;
        int high = count;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (get(sorted, middle) < number) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    private static byte[] toBits(byte[] sorted, int count) {
        byte[] bits = new byte[BITS_LENGTH];
        for (int place = 1; place <= count; place++) {
            addBit(bits, get(sorted, place));
        }
        return bits;
    }

    private static int get(byte[] set, int place) {
        return Short.toUnsignedInt((short) SHORTS.get(set, Short.BYTES * place));
    }

    private static void put(byte[] set, int place, int number) {
        SHORTS.set(set, Short.BYTES * place, (short) number);
    }
}
