package ta.flink;

import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * RFC_3339_MILLIS(text): milliseconds since the epoch of an RFC 3339 time stamp, NULL when it is none.
 *
 * <p>Accepts 0 to 9 digits of a second (cut, not rounded, to milliseconds: Alpaca sends up to nanoseconds) and the
 * zones Z, +hh:mm and -hh:mm. Flink's own parsers take only Z and cost about a microsecond; this one reads the
 * digits in place, because it runs once for each tick.
 */
public final class Rfc3339Millis extends ScalarFunction {

    private static final long serialVersionUID = 1L;
    private static final int[] DAYS_BEFORE_MONTH = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};

    public Long eval(String text) {
        return parse(text);
    }

    static Long parse(String text) {
        if (text == null || text.length() < 20) {
            return null;
        }
        int year = number(text, 0, 4);
        int month = number(text, 5, 7);
        int day = number(text, 8, 10);
        int hour = number(text, 11, 13);
        int minute = number(text, 14, 16);
        int second = number(text, 17, 19);
        char middle = text.charAt(10);
        boolean punctuated = text.charAt(4) == '-' && text.charAt(7) == '-' && text.charAt(13) == ':'
                && text.charAt(16) == ':' && (middle == 'T' || middle == 't' || middle == ' ');
        if (!punctuated || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)
                || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
            return null;
        }
        int at = 19;
        int millis = 0;
        if (text.charAt(at) == '.') {
            int first = ++at;
            int weight = 100;
            while (at < text.length() && isDigit(text.charAt(at))) {
                millis += (text.charAt(at) - '0') * weight;
                weight /= 10;
                at++;
            }
            if (at == first || at - first > 9) {
                return null;
            }
        }
        Integer offsetMinutes = offset(text, at);
        if (offsetMinutes == null) {
            return null;
        }
        long seconds = daysSinceEpoch(year, month, day) * 86_400L + hour * 3_600L + minute * 60L + second
                - offsetMinutes * 60L;
        return seconds * 1_000L + millis;
    }

    private static Integer offset(String text, int at) {
        int left = text.length() - at;
        if (left == 1 && (text.charAt(at) == 'Z' || text.charAt(at) == 'z')) {
            return 0;
        }
        if (left != 6 || text.charAt(at + 3) != ':' || (text.charAt(at) != '+' && text.charAt(at) != '-')) {
            return null;
        }
        int hours = number(text, at + 1, at + 3);
        int minutes = number(text, at + 4, at + 6);
        if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) {
            return null;
        }
        int total = hours * 60 + minutes;
        return text.charAt(at) == '-' ? -total : total;
    }

    /** The reverse: {@code 2026-07-21T14:00:00.045Z}; years of four digits. */
    public static String format(long millis) {
        long days = Math.floorDiv(millis, 86_400_000L);
        LocalDate date = LocalDate.ofEpochDay(days);
        int left = (int) (millis - days * 86_400_000L);
        byte[] text = "0000-00-00T00:00:00.000Z".getBytes(StandardCharsets.ISO_8859_1);
        digits(text, 3, date.getYear());
        digits(text, 6, date.getMonthValue());
        digits(text, 9, date.getDayOfMonth());
        digits(text, 12, left / 3_600_000);
        digits(text, 15, left / 60_000 % 60);
        digits(text, 18, left / 1_000 % 60);
        digits(text, 22, left % 1_000);
        return new String(text, StandardCharsets.ISO_8859_1);
    }

    private static void digits(byte[] text, int last, int number) {
        int at = last;
        for (int left = number; left > 0; left /= 10) {
            text[at--] += (byte) (left % 10);
        }
    }

    private static int number(String text, int from, int to) {
        int value = 0;
        for (int i = from; i < to; i++) {
            char c = text.charAt(i);
            if (!isDigit(c)) {
                return -1;
            }
            value = value * 10 + (c - '0');
        }
        return value;
    }

    private static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }

    private static boolean isLeap(int year) {
        return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    }

    private static int daysIn(int year, int month) {
        return switch (month) {
            case 2 -> isLeap(year) ? 29 : 28;
            case 4, 6, 9, 11 -> 30;
            default -> 31;
        };
    }

    private static long daysSinceEpoch(int year, int month, int day) {
        long past = year - 1L;
        long leapDays = past / 4 - past / 100 + past / 400;
        int leapDay = month > 2 && isLeap(year) ? 1 : 0;
        return past * 365 + leapDays + DAYS_BEFORE_MONTH[month - 1] + leapDay + day - 1 - 719_162L;
    }
}
