package ta.flink.rows;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import org.apache.flink.types.Row;

/**
 * Tuples of plain values (null, Boolean, Integer, Long, Double, String, byte[]) in Python's pickle format.
 *
 * <p>A value that crosses between the JVM and Python field by field costs a JNI call and a Python call for each field;
 * as one pickle it costs one of each, and Python's side of the format is C. Opcodes: Lib/pickletools.py of CPython;
 * written is protocol 3, read is what {@code pickle.dumps} writes of such tuples with protocol 4 or 5.
 */
final class Pickle {

    private static final int PROTOCOL = 0x80;
    private static final int FRAME = 0x95;
    private static final int MEMOIZE = 0x94;
    private static final int SHORT_UNICODE = 0x8c;
    private static final int LONG1 = 0x8a;
    private static final int TUPLE1 = 0x85;
    private static final int TUPLE2 = 0x86;
    private static final int TUPLE3 = 0x87;
    private static final int TRUE = 0x88;
    private static final int FALSE = 0x89;

    private Pickle() {}

    /** A tuple of tuples: one for each row. */
    static byte[] write(List<Row> rows) {
        Writer writer = new Writer();
        writer.begin();
        for (Row row : rows) {
            writer.opcode('(');
            for (int i = 0; i < row.getArity(); i++) {
                writer.value(row.getField(i));
            }
            writer.opcode('t');
        }
        return writer.end();
    }

    /** The values of each tuple of a tuple; whole numbers are Long. */
    static Object[][] read(byte[] pickle) {
        Object[] tuples = (Object[]) new Reader(pickle).value();
        return Arrays.copyOf(tuples, tuples.length, Object[][].class);
    }

    private static final class Writer {

        private ByteBuffer out = ByteBuffer.allocate(512).order(ByteOrder.LITTLE_ENDIAN);

        void begin() {
            room(3);
            out.put((byte) PROTOCOL).put((byte) 3).put((byte) '(');
        }

        byte[] end() {
            room(2);
            out.put((byte) 't').put((byte) '.');
            byte[] bytes = new byte[out.position()];
            out.flip();
            out.get(bytes);
            return bytes;
        }

        void opcode(char opcode) {
            room(1);
            out.put((byte) opcode);
        }

        void value(Object value) {
            if (value == null) {
                opcode('N');
            } else if (value instanceof Double number) {
                room(9);
                out.put((byte) 'G').order(ByteOrder.BIG_ENDIAN).putDouble(number).order(ByteOrder.LITTLE_ENDIAN);
            } else if (value instanceof Integer number) {
                room(5);
                out.put((byte) 'J').putInt(number);
            } else if (value instanceof Long number) {
                room(10);
                out.put((byte) LONG1).put((byte) 8).putLong(number);
            } else if (value instanceof String text) {
                bytes('X', text.getBytes(StandardCharsets.UTF_8));
            } else if (value instanceof byte[] bytes) {
                bytes('B', bytes);
            } else {
                throw new IllegalArgumentException("no plain value: " + value.getClass().getName());
            }
        }

        private void bytes(char opcode, byte[] bytes) {
            room(5 + bytes.length);
            out.put((byte) opcode).putInt(bytes.length).put(bytes);
        }

        private void room(int more) {
            if (out.remaining() < more) {
                out.flip();
                out = ByteBuffer.allocate(Math.max(2 * out.capacity(), out.limit() + more))
                        .order(ByteOrder.LITTLE_ENDIAN).put(out);
            }
        }
    }

    private static final class Reader {

        private final ByteBuffer in;
        private final List<Object> values = new ArrayList<>(64);
        private final List<Object> memo = new ArrayList<>(16);
        private final Deque<Integer> marks = new ArrayDeque<>(4);

        Reader(byte[] pickle) {
            in = ByteBuffer.wrap(pickle).order(ByteOrder.LITTLE_ENDIAN);
        }

        Object value() {
            while (true) {
                int opcode = in.get() & 0xff;
                switch (opcode) {
                    case PROTOCOL -> in.get();
                    case FRAME -> in.getLong();
                    case '(' -> marks.push(values.size());
                    case 't' -> tuple(marks.pop());
                    case TUPLE1 -> tuple(values.size() - 1);
                    case TUPLE2 -> tuple(values.size() - 2);
                    case TUPLE3 -> tuple(values.size() - 3);
                    case 'N' -> values.add(null);
                    case TRUE -> values.add(Boolean.TRUE);
                    case FALSE -> values.add(Boolean.FALSE);
                    case 'G' -> {
                        values.add(in.order(ByteOrder.BIG_ENDIAN).getDouble());
                        in.order(ByteOrder.LITTLE_ENDIAN);
                    }
                    case 'K' -> values.add((long) (in.get() & 0xff));
                    case 'M' -> values.add((long) (in.getShort() & 0xffff));
                    case 'J' -> values.add((long) in.getInt());
                    case LONG1 -> values.add(integer(in.get() & 0xff));
                    case SHORT_UNICODE -> values.add(text(in.get() & 0xff));
                    case 'X' -> values.add(text(in.getInt()));
                    case MEMOIZE -> memo.add(values.get(values.size() - 1));
                    case 'h' -> values.add(memo.get(in.get() & 0xff));
                    case 'j' -> values.add(memo.get(in.getInt()));
                    case '.' -> {
                        return values.get(0);
                    }
                    default -> throw new IllegalArgumentException("opcode " + opcode + " is none of a plain tuple");
                }
            }
        }

        private void tuple(int first) {
            List<Object> own = values.subList(first, values.size());
            Object[] tuple = own.toArray();
            own.clear();
            values.add(tuple);
        }

        private long integer(int length) {
            long number = 0;
            for (int i = 0; i < length; i++) {
                long part = i == length - 1 ? in.get() : in.get() & 0xff;
                number |= part << (8 * i);
            }
            return number;
        }

        private String text(int length) {
            String text = new String(in.array(), in.position(), length, StandardCharsets.UTF_8);
            in.position(in.position() + length);
            return text;
        }
    }
}
