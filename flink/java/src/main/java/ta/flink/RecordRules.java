package ta.flink;

import java.io.Serializable;
import java.util.List;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.RowData;

/**
 * Why a record that decoded cannot be used: docs/market-semantics.md, "Bad input".
 *
 * <p>Each record has one reason, the first that holds, or none and is used: whoever reads a log takes the records without
 * one, and rejects all others, so that none is lost between the two. Ranges are asked for as such, because nothing that
 * is compared with a NaN holds.
 */
final class RecordRules implements Serializable {

    static final String MALFORMED = "malformed";
    static final String TOO_LARGE = "too_large";

    private static final long serialVersionUID = 1L;

    /** Far from what a double or a sum of them can hold, and far from every market. */
    static final double SMALLEST_PRICE = 1e-12;
    static final double LARGEST_PRICE = 1e12;
    static final double SMALLEST_SIZE = 1e-12;
    static final double LARGEST_SIZE = 1e18;

    private static final int LONGEST_SYMBOL = 32;
    private static final int LONGEST_EXCHANGE = 16;
    private static final String SYMBOL_MARKS = "./-_:^=+*$#@~!%&";
    private static final String EXCHANGE_MARKS = "._-";
    private static final String CLOCK_SYMBOL = "*";
    private static final long MINUTE_MILLIS = 60_000L;

    private enum Log { TRADES, QUOTES, BARS_1M, STATUS }

    private final Log log;
    private final List<String> columns;
    private final long maxFutureMillis;
    private final int symbol;
    private final int type;
    private final int time;

    /**
     * @param log trades, quotes, bars_1m or status
     * @param columns names of the row's fields; the payload's are called {@code payload.*}
     * @param maxFutureMillis how far an event may be ahead of this machine's clock
     */
    RecordRules(String log, List<String> columns, long maxFutureMillis) {
        try {
            this.log = Log.valueOf(log.toUpperCase(java.util.Locale.ROOT));
        } catch (IllegalArgumentException error) {
            throw new ValidationException("rules are those of trades, quotes, bars_1m or status, not of " + log);
        }
        this.columns = List.copyOf(columns);
        this.maxFutureMillis = maxFutureMillis;
        this.symbol = field("symbol");
        this.type = field("payload.T");
        this.time = field("payload.t");
        reader();
    }

    /** Reads the rows of one source, in its thread. */
    Reader reader() {
        return switch (log) {
            case TRADES -> new Trades();
            case QUOTES -> new Quotes();
            case BARS_1M -> new Minutes();
            case STATUS -> new Statuses();
        };
    }

    private int field(String name) {
        int at = columns.indexOf(name);
        if (at < 0) {
            throw new ValidationException("the rules need a column " + name + "; declare it in the table, which has " + columns);
        }
        return at;
    }

    /** Judges one row after the other. */
    abstract class Reader {

        private long eventMillis;

        /** The reason, null: there is none; {@code nowMillis}: this machine's clock. */
        final String reason(RowData row, long nowMillis) {
            eventMillis = 0;
            if (row.isNullAt(type)) {
                return "missing_type";
            }
            String name = row.getString(type).toString();
            if (!knows(name)) {
                return "unknown_type";
            }
            if (row.isNullAt(symbol)) {
                return "missing_symbol";
            }
            String named = row.getString(symbol).toString();
            if (named.isEmpty()) {
                return "missing_symbol";
            }
            if (!isName(named, LONGEST_SYMBOL, SYMBOL_MARKS)) {
                return "bad_symbol";
            }
            if (row.isNullAt(time)) {
                return "missing_timestamp";
            }
            Long millis = Rfc3339Millis.parse(row.getString(time).toString());
            if (millis == null || millis <= 0 || !isTime(millis)) {
                return "bad_timestamp";
            }
            // One record from the year 2200 would drive the watermark there, and every later record would be late.
            if (millis - maxFutureMillis > nowMillis) {
                return "future_timestamp";
            }
            if (isClock(name)) {
                if (!named.equals(CLOCK_SYMBOL)) {
                    return "unknown_type";
                }
            } else {
                String reason = reason(row, name);
                if (reason != null) {
                    return reason;
                }
            }
            eventMillis = millis;
            return null;
        }

        /** Milliseconds since the epoch of the last row that had no reason; 0 after one that has. */
        final long eventMillis() {
            return eventMillis;
        }

        boolean isTime(long millis) {
            return true;
        }

        abstract boolean knows(String name);

        /** The reason of a row whose type, symbol and time are in order. */
        abstract String reason(RowData row, String name);
    }

    private final class Trades extends Reader {

        private final int id = field("payload.i");
        private final int exchange = field("payload.x");
        private final int price = field("payload.p");
        private final int size = field("payload.s");
        private final int oldId = field("payload.oi");
        private final int newId = field("payload.ci");
        private final int newPrice = field("payload.cp");
        private final int newSize = field("payload.cs");

        @Override
        boolean knows(String name) {
            return name.equals("t") || name.equals("x") || name.equals("c") || isClock(name);
        }

        @Override
        String reason(RowData row, String name) {
            String reason = switch (name) {
                case "t" -> ofPriceAndSize(row, price, size);
                case "c" -> {
                    String of = ofPriceAndSize(row, newPrice, newSize);
                    yield of == null && (row.isNullAt(oldId) || row.isNullAt(newId)) ? "missing_id" : of;
                }
                default -> row.isNullAt(id) ? "missing_id" : null;
            };
            if (reason == null && !row.isNullAt(exchange)) {
                // It is part of a trade's name, between marks that it must not hold.
                String named = row.getString(exchange).toString();
                return named.isEmpty() || isName(named, LONGEST_EXCHANGE, EXCHANGE_MARKS) ? null : "bad_exchange";
            }
            return reason;
        }

        private static String ofPriceAndSize(RowData row, int price, int size) {
            if (row.isNullAt(price)) {
                return "missing_price";
            }
            if (row.isNullAt(size)) {
                return "missing_size";
            }
            if (!isIn(row.getDouble(price), SMALLEST_PRICE, LARGEST_PRICE)) {
                return "bad_price";
            }
            return isIn(row.getDouble(size), SMALLEST_SIZE, LARGEST_SIZE) ? null : "bad_size";
        }
    }

    private final class Quotes extends Reader {

        private final int[] prices = {field("payload.bp"), field("payload.ap")};
        private final int[] sizes = {field("payload.bs"), field("payload.as")};

        @Override
        boolean knows(String name) {
            return name.equals("q") || isClock(name);
        }

        @Override
        String reason(RowData row, String name) {
            if (isAnyNull(row, prices)) {
                return "missing_price";
            }
            if (isAnyNull(row, sizes)) {
                return "missing_size";
            }
            if (!isEachIn(row, prices, 0, LARGEST_PRICE)) {
                return "bad_price";
            }
            return isEachIn(row, sizes, 0, LARGEST_SIZE) ? null : "bad_size";
        }
    }

    private final class Minutes extends Reader {

        private final int high = field("payload.h");
        private final int low = field("payload.l");
        private final int[] prices = {field("payload.o"), high, low, field("payload.c")};
        private final int volume = field("payload.v");
        private final int vwap = field("payload.vw");
        private final int count = field("payload.n");

        @Override
        boolean knows(String name) {
            return name.equals("b") || name.equals("u");
        }

        @Override
        boolean isTime(long millis) {
            return millis % MINUTE_MILLIS == 0;
        }

        @Override
        String reason(RowData row, String name) {
            if (isAnyNull(row, prices)) {
                return "missing_price";
            }
            if (row.isNullAt(volume)) {
                return "missing_size";
            }
            if (!isEachIn(row, prices, SMALLEST_PRICE, LARGEST_PRICE) || row.getDouble(high) < row.getDouble(low)
                    || !row.isNullAt(vwap) && !isIn(row.getDouble(vwap), 0, LARGEST_PRICE)) {
                return "bad_price";
            }
            boolean counted = row.isNullAt(count) || row.getLong(count) >= 0;
            return counted && isIn(row.getDouble(volume), 0, LARGEST_SIZE) ? null : "bad_size";
        }
    }

    private final class Statuses extends Reader {

        private final int code = field("payload.sc");

        @Override
        boolean knows(String name) {
            return name.equals("s");
        }

        @Override
        String reason(RowData row, String name) {
            if (row.isNullAt(code)) {
                return "missing_status";
            }
            // Each code has a counter: one letter or digit, as all of Alpaca's, so that there are not too many.
            return isName(row.getString(code).toString(), 1, "") ? null : "bad_status";
        }
    }

    private static boolean isClock(String name) {
        return name.equals("clock");
    }

    private static boolean isAnyNull(RowData row, int[] fields) {
        for (int field : fields) {
            if (row.isNullAt(field)) {
                return true;
            }
        }
        return false;
    }

    private static boolean isEachIn(RowData row, int[] fields, double smallest, double largest) {
        for (int field : fields) {
            if (!isIn(row.getDouble(field), smallest, largest)) {
                return false;
            }
        }
        return true;
    }

    private static boolean isIn(double value, double smallest, double largest) {
        return value >= smallest && value <= largest;
    }

    /** Whether the text is one to {@code longest} letters, digits and {@code marks}, all of ASCII. */
    private static boolean isName(String text, int longest, String marks) {
        int length = text.length();
        if (length == 0 || length > longest) {
            return false;
        }
        for (int i = 0; i < length; i++) {
            char c = text.charAt(i);
            boolean plain = c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z';
            if (!plain && marks.indexOf(c) < 0) {
                return false;
            }
        }
        return true;
    }
}
