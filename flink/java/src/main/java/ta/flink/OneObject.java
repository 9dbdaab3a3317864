package ta.flink;

/** Whether bytes that hold valid JSON at their beginning are one object, with nothing behind it. */
final class OneObject {

    private OneObject() {}

    /** One look at each byte; what is within the object is for the parser to judge. */
    static boolean is(byte[] json) {
        int depth = 0;
        boolean quoted = false;
        boolean ended = false;
        for (int i = 0; i < json.length; i++) {
            byte b = json[i];
            if (quoted) {
                if (b == '\\') {
                    i++;
                } else if (b == '"') {
                    quoted = false;
                }
                continue;
            }
            if (ended && b != ' ' && b != '\n' && b != '\r' && b != '\t') {
                return false;
            }
            switch (b) {
                case '"' -> quoted = true;
                case '{' -> depth++;
                case '[' -> {
                    if (depth++ == 0) {
                        return false;
                    }
                }
                case '}', ']' -> ended = --depth == 0;
                default -> { }
            }
        }
        return ended;
    }
}
