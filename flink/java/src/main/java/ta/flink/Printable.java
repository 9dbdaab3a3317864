package ta.flink;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import org.apache.flink.table.functions.ScalarFunction;

/** What is shown of a record that cannot be used: whatever it holds, it is text, and not too much of it. */
public final class Printable {

    private static final int CONTINUES = 0x80;
    private static final int CONTINUATION_MASK = 0xC0;
    private static final int LONGEST_CHARACTER = 4;

    private Printable() {}

    /** At most {@code longest} characters of ASCII; others are written as in Java's source, &#92;u1f4a5 as two of them. */
    static String of(String text, int longest) {
        StringBuilder out = new StringBuilder(Math.min(text.length(), longest));
        for (int i = 0; i < text.length() && out.length() < longest; i++) {
            char c = text.charAt(i);
            if (c >= ' ' && c <= '~') {
                out.append(c);
            } else {
                out.append(String.format("\\u%04x", (int) c));
            }
        }
        out.setLength(Math.min(out.length(), longest));
        return out.toString();
    }

    /** The first {@code most} bytes, or a few less: a character of UTF-8 is not cut. */
    static byte[] beginning(byte[] value, int most) {
        if (value.length <= most) {
            return value;
        }
        int end = most;
        while (end > most - LONGEST_CHARACTER && (value[end] & CONTINUATION_MASK) == CONTINUES) {
            end--;
        }
        return Arrays.copyOf(value, end);
    }

    private static String utf8(byte[] raw) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(raw)).toString();
        } catch (CharacterCodingException error) {
            return null;
        }
    }

    /** RAW_TEXT(bytes): the bytes as text when they are UTF-8, else in base64; RAW_ENCODING says which. */
    public static final class Text extends ScalarFunction {

        private static final long serialVersionUID = 1L;

        public String eval(byte[] raw) {
            if (raw == null) {
                return null;
            }
            String text = utf8(raw);
            return text != null ? text : Base64.getEncoder().encodeToString(raw);
        }
    }

    /** RAW_ENCODING(bytes): {@code utf-8} or {@code base64}. */
    public static final class Encoding extends ScalarFunction {

        private static final long serialVersionUID = 1L;

        public String eval(byte[] raw) {
            return raw == null ? null : utf8(raw) != null ? "utf-8" : "base64";
        }
    }
}
