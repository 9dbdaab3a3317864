package ta.flink.avro;

import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.flink.avro.shaded.org.apache.avro.io.BinaryDecoder;
import org.apache.flink.avro.shaded.org.apache.avro.io.Decoder;
import org.apache.flink.avro.shaded.org.apache.avro.util.Utf8;

/**
 * A binary decoder that believes no length it cannot have: a text, bytes or a list of one record are not longer than the
 * record.
 *
 * <p>Avro's own makes room for as much as the record says before it reads it: five bytes that say 2 GiB are an
 * OutOfMemoryError, of which the whole TaskManager dies. And it passes over a block of as many bytes as the block says: by
 * a negative number it goes back, and reads the same block for ever.
 */
final class BoundedDecoder extends Decoder {

    private final BinaryDecoder in;
    private final int longest;

    BoundedDecoder(BinaryDecoder in, int longest) {
        this.in = in;
        this.longest = longest;
    }

    private int length(long said) throws IOException {
        if (said < 0 || said > longest) {
            throw new IOException("a length of " + said + " in a record of " + longest + " bytes");
        }
        return (int) said;
    }

    private byte[] read() throws IOException {
        byte[] bytes = new byte[length(in.readLong())];
        in.readFixed(bytes, 0, bytes.length);
        return bytes;
    }

    /** Passes over the blocks that say how many bytes they have; returns how many items the next one has, 0: the end. */
    private long skipBlocks() throws IOException {
        long count = in.readLong();
        while (count < 0) {
            in.skipFixed(length(in.readLong()));
            count = in.readLong();
        }
        return length(count);
    }

    @Override
    public Utf8 readString(Utf8 old) throws IOException {
        return new Utf8(read());
    }

    @Override
    public String readString() throws IOException {
        return readString(null).toString();
    }

    @Override
    public ByteBuffer readBytes(ByteBuffer old) throws IOException {
        return ByteBuffer.wrap(read());
    }

    @Override
    public long readArrayStart() throws IOException {
        return length(in.readArrayStart());
    }

    @Override
    public long arrayNext() throws IOException {
        return length(in.arrayNext());
    }

    @Override
    public long readMapStart() throws IOException {
        return length(in.readMapStart());
    }

    @Override
    public long mapNext() throws IOException {
        return length(in.mapNext());
    }

    @Override
    public void readNull() throws IOException {
        in.readNull();
    }

    @Override
    public boolean readBoolean() throws IOException {
        return in.readBoolean();
    }

    @Override
    public int readInt() throws IOException {
        return in.readInt();
    }

    @Override
    public long readLong() throws IOException {
        return in.readLong();
    }

    @Override
    public float readFloat() throws IOException {
        return in.readFloat();
    }

    @Override
    public double readDouble() throws IOException {
        return in.readDouble();
    }

    @Override
    public void skipString() throws IOException {
        in.skipFixed(length(in.readLong()));
    }

    @Override
    public void skipBytes() throws IOException {
        in.skipFixed(length(in.readLong()));
    }

    @Override
    public void readFixed(byte[] bytes, int start, int length) throws IOException {
        in.readFixed(bytes, start, length);
    }

    @Override
    public void skipFixed(int length) throws IOException {
        in.skipFixed(length(length));
    }

    @Override
    public int readEnum() throws IOException {
        return in.readEnum();
    }

    @Override
    public long skipArray() throws IOException {
        return skipBlocks();
    }

    @Override
    public long skipMap() throws IOException {
        return skipBlocks();
    }

    @Override
    public int readIndex() throws IOException {
        return in.readIndex();
    }
}
