package ta.flink;

import org.apache.flink.table.functions.AggregateFunction;

/**
 * ALREADY_SEEN(number) OVER (PARTITION BY ..., block ORDER BY proctime): whether the same number came before.
 *
 * <p>One bit a number, 1,024 numbers a state, because ids are mostly counted up: a row of state for each id costs some
 * 300 bytes of heap, the garbage collector's time to mark it, and a full copy in each checkpoint. The caller puts the
 * numbers of one block (<code>number / 1024</code>, rounded down) into one partition. NULL was never seen.
 */
public final class AlreadySeen extends AggregateFunction<Boolean, AlreadySeen.Block> {

    private static final long serialVersionUID = 1L;
    private static final int NUMBERS = 1024;

    /** The numbers of one block that came, and whether the newest of them was a repetition. */
    public static final class Block {
        public byte[] bits = new byte[NUMBERS / Byte.SIZE];
        public boolean seen;
    }

    @Override
    public Block createAccumulator() {
        return new Block();
    }

    public void accumulate(Block block, Long number) {
        block.seen = false;
        if (number == null) {
            return;
        }
        int at = (int) (number & (NUMBERS - 1));
        int bit = 1 << (at % Byte.SIZE);
        block.seen = (block.bits[at / Byte.SIZE] & bit) != 0;
        block.bits[at / Byte.SIZE] |= (byte) bit;
    }

    @Override
    public Boolean getValue(Block block) {
        return block.seen;
    }
}
