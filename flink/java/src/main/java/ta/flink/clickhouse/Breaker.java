package ta.flink.clickhouse;

import io.github.resilience4j.circuitbreaker.CircuitBreaker;
import io.github.resilience4j.circuitbreaker.CircuitBreaker.StateTransition;
import io.github.resilience4j.circuitbreaker.CircuitBreakerConfig;
import io.github.resilience4j.core.IntervalFunction;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.MetricGroup;

/**
 * Whether an attempt makes sense now, and the metrics that say so.
 *
 * <pre>
 * closed     each attempt is allowed; so many failures in a row open it
 * open       none is, for a second, then for twice as long after each failure, up to the longest wait
 * half open  one is, and decides: closed, or open again
 * </pre>
 *
 * <p>Metrics, in the group {@code breaker}: {@code state} (0 closed, 1 half open, 2 open), {@code sinceMillis} (when it
 * left or came back to closed, epoch), {@code opened}, {@code tried} and {@code closed} (transitions out of closed, out
 * of open, and back to closed), {@code failedInserts}, {@code lastError} (text: for Flink's REST API).
 */
final class Breaker {

    private static final Duration FIRST_WAIT = Duration.ofSeconds(1);
    private static final int LONGEST_TEXT = 300;

    private final CircuitBreaker breaker;
    private volatile long sinceMillis = System.currentTimeMillis();
    private volatile String lastError = "";
    private Counter failedInserts;

    Breaker(int attempts, long longestWaitMillis) {
        Duration longest = Duration.ofMillis(Math.max(longestWaitMillis, FIRST_WAIT.toMillis()));
        breaker = CircuitBreaker.of(
                "clickhouse",
                CircuitBreakerConfig.custom()
                        .slidingWindow(attempts, attempts, CircuitBreakerConfig.SlidingWindowType.COUNT_BASED)
                        .failureRateThreshold(100)
                        .slowCallDurationThreshold(Duration.ofDays(1))
                        .permittedNumberOfCallsInHalfOpenState(1)
                        .waitIntervalFunctionInOpenState(IntervalFunction.ofExponentialBackoff(FIRST_WAIT, 2, longest))
                        .build());
    }

    /** Register the metrics; `group` is the operator's. */
    void measure(MetricGroup group) {
        MetricGroup own = group.addGroup("breaker");
        own.gauge("state", (Gauge<Integer>) this::state);
        own.gauge("sinceMillis", (Gauge<Long>) () -> sinceMillis);
        own.gauge("lastError", (Gauge<String>) () -> lastError);
        failedInserts = own.counter("failedInserts");
        Counter opened = own.counter("opened");
        Counter tried = own.counter("tried");
        Counter closed = own.counter("closed");
        breaker.getEventPublisher().onStateTransition(event -> {
            StateTransition transition = event.getStateTransition();
            if (transition == StateTransition.CLOSED_TO_OPEN) {
                sinceMillis = System.currentTimeMillis();
                opened.inc();
            } else if (transition == StateTransition.OPEN_TO_HALF_OPEN) {
                tried.inc();
            } else if (transition == StateTransition.HALF_OPEN_TO_CLOSED) {
                sinceMillis = System.currentTimeMillis();
                closed.inc();
            }
        });
    }

    /** Whether an attempt is allowed now; whoever is told yes has to tell how it went. */
    boolean allows() {
        return breaker.tryAcquirePermission();
    }

    boolean isClosed() {
        return breaker.getState() == CircuitBreaker.State.CLOSED;
    }

    void succeeded(long nanos) {
        breaker.onSuccess(nanos, TimeUnit.NANOSECONDS);
    }

    void failed(long nanos, Throwable error) {
        lastError = text(error);
        failedInserts.inc();
        breaker.onError(nanos, TimeUnit.NANOSECONDS, error);
    }

    String lastError() {
        return lastError;
    }

    private int state() {
        return switch (breaker.getState()) {
            case CLOSED -> 0;
            case HALF_OPEN -> 1;
            default -> 2;
        };
    }

    /** What was wrong at the bottom of it, in one line. */
    private static String text(Throwable error) {
        Throwable cause = error;
        while (cause.getCause() != null && cause.getCause() != cause) {
            cause = cause.getCause();
        }
        String text = cause.toString().replaceAll("\\s+", " ");
        return text.length() > LONGEST_TEXT ? text.substring(0, LONGEST_TEXT) + "..." : text;
    }
}
