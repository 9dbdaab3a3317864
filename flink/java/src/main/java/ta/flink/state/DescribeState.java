package ta.flink.state;

import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.flink.core.memory.DataInputViewStreamWrapper;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.runtime.state.AbstractChannelStateHandle;
import org.apache.flink.runtime.state.KeyGroupsStateHandle;
import org.apache.flink.runtime.state.KeyedBackendSerializationProxy;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.OperatorStateHandle;
import org.apache.flink.runtime.state.StateObject;
import org.apache.flink.runtime.state.StreamStateHandle;
import org.apache.flink.runtime.state.filesystem.RelativeFileStateHandle;
import org.apache.flink.runtime.state.metainfo.StateMetaInfoSnapshot;
import org.apache.flink.runtime.state.metainfo.StateMetaInfoSnapshot.CommonOptionsKeys;
import org.apache.flink.runtime.state.metainfo.StateMetaInfoSnapshot.CommonSerializerKeys;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

/**
 * Says what a savepoint or a retained checkpoint holds, from a local copy of its folder: one JSON object on standard
 * output.
 *
 * <p>Only what Flink itself wrote is read: the metadata, and in front of each operator's keyed state the names of its
 * states. No state is restored and no class of the job is needed. A file that the metadata names and the folder does
 * not have whole is listed under <code>missing</code>, as the metadata names it: whether that matters is for the
 * caller. A file of another folder is looked for by its name.
 *
 * <p>Metadata that cannot be read is one line on standard error and exit status 1.
 */
public final class DescribeState {

    private static final String METADATA = "_metadata";
    private static final int BUFFER_BYTES = 1 << 16;

    private final Path folder;
    private final TreeSet<String> missing = new TreeSet<>();

    private DescribeState(Path folder) {
        this.folder = folder;
    }

    /** The folder is the only argument. */
    public static void main(String[] arguments) {
        if (arguments.length != 1) {
            System.err.println("usage: DescribeState FOLDER");
            System.exit(2);
        }
        Path folder = Path.of(arguments[0]).toAbsolutePath();
        try {
            System.out.println(new ObjectMapper().writeValueAsString(new DescribeState(folder).describe()));
        } catch (IOException | RuntimeException | LinkageError | OutOfMemoryError error) {
            // Damaged metadata shows as any of these: a length that is not one, a class that never was.
            String text = String.valueOf(error).lines().findFirst().orElse("");
            System.err.println(folder.resolve(METADATA) + " or a file it names cannot be read: " + text);
            System.exit(1);
        }
    }

    private Map<String, Object> describe() throws IOException {
        CheckpointMetadata metadata;
        try (DataInputStream in = new DataInputStream(
                new BufferedInputStream(Files.newInputStream(folder.resolve(METADATA)), BUFFER_BYTES))) {
            metadata = Checkpoints.loadCheckpointMetadata(in, getClass().getClassLoader(), folder.toUri().toString());
            if (in.read() >= 0) {
                throw new IOException("there is more behind the end of the metadata");
            }
        }
        List<Map<String, Object>> operators = new ArrayList<>();
        for (OperatorState operator : metadata.getOperatorStates()) {
            operators.add(describe(operator));
        }
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("checkpoint_id", metadata.getCheckpointId());
        described.put("operators", operators);
        described.put("missing", missing);
        return described;
    }

    private Map<String, Object> describe(OperatorState operator) throws IOException {
        Map<String, Map<String, String>> keyed = new TreeMap<>();
        TreeSet<String> other = new TreeSet<>();
        TreeSet<String> unreadable = new TreeSet<>();
        boolean hasState = operator.getCoordinatorState() != null;
        for (OperatorSubtaskState subtask : operator.getStates()) {
            hasState |= subtask.hasState();
            for (KeyedStateHandle handle : subtask.getManagedKeyedState()) {
                names(handle, keyed, unreadable);
            }
            for (OperatorStateHandle handle : subtask.getManagedOperatorState()) {
                other.addAll(handle.getStateNameToPartitionOffsets().keySet());
            }
            rest(subtask).forEach(state -> require(stream(state)));
        }
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("id", operator.getOperatorID().toHexString());
        described.put("uid", text(operator.getOperatorUid()));
        described.put("name", text(operator.getOperatorName()));
        described.put("parallelism", operator.getParallelism());
        described.put("max_parallelism", operator.getMaxParallelism());
        described.put("has_state", hasState);
        described.put("bytes", operator.getStateSize());
        described.put("keyed_states", keyed);
        described.put("operator_states", other);
        described.put("unreadable", unreadable);
        return described;
    }

    /** Adds the names of the states; or why they cannot be told, when a class that is not there is needed for it. */
    private void names(KeyedStateHandle handle, Map<String, Map<String, String>> keyed, TreeSet<String> unreadable)
            throws IOException {
        StreamStateHandle stream = stream(handle);
        if (stream == null) {
            unreadable.add("keyed state in a " + handle.getClass().getSimpleName());
            return;
        }
        if (!require(stream)) {
            return;
        }
        KeyedBackendSerializationProxy<?> header = new KeyedBackendSerializationProxy<>(getClass().getClassLoader());
        try (InputStream in = open(stream)) {
            header.read(new DataInputViewStreamWrapper(in));
        } catch (IOException error) {
            if (!(error.getCause() instanceof ClassNotFoundException)) {
                throw error;
            }
            unreadable.add("keyed state with a serializer that is not Flink's: " + error.getCause().getMessage());
            return;
        }
        for (StateMetaInfoSnapshot state : header.getStateMetaInfoSnapshots()) {
            keyed.put(state.getName(), Map.of("kind", kind(state), "serializer", serializer(state)));
        }
    }

    private static String kind(StateMetaInfoSnapshot state) {
        String kind = state.getOption(CommonOptionsKeys.KEYED_STATE_TYPE);
        return (kind == null ? state.getBackendStateType().name() : kind).toLowerCase();
    }

    private static String serializer(StateMetaInfoSnapshot state) {
        Object snapshot = state.getTypeSerializerSnapshot(CommonSerializerKeys.VALUE_SERIALIZER);
        return snapshot == null ? "" : snapshot.getClass().getName();
    }

    /** All of a subtask's state but the managed keyed one. */
    private static Stream<StateObject> rest(OperatorSubtaskState subtask) {
        List<Collection<? extends StateObject>> states = List.of(
                subtask.getManagedOperatorState(),
                subtask.getRawOperatorState(),
                subtask.getRawKeyedState(),
                subtask.getInputChannelState(),
                subtask.getResultSubpartitionState());
        return states.stream().flatMap(Collection::stream);
    }

    /** Where the bytes of a state are; null when that is not one place, as in incremental checkpoints. */
    private static StreamStateHandle stream(StateObject state) {
        if (state instanceof KeyGroupsStateHandle keyed) {
            return keyed.getDelegateStateHandle();
        }
        if (state instanceof OperatorStateHandle operator) {
            return operator.getDelegateStateHandle();
        }
        return state instanceof AbstractChannelStateHandle<?> channel ? channel.getDelegate() : null;
    }

    /** Whether the folder has the file, whole; notes it when not. A state within the metadata is always there. */
    private boolean require(StreamStateHandle stream) {
        if (stream == null || stream.asBytesIfInMemory().isPresent()) {
            return true;
        }
        Path file = file(stream);
        try {
            if (file != null && Files.size(file) >= stream.getStateSize()) {
                return true;
            }
        } catch (IOException error) {
            // It is not there.
        }
        missing.add(stream instanceof RelativeFileStateHandle relative
                ? relative.getRelativePath()
                : stream.maybeGetPath().map(Object::toString).orElse(stream.toString()));
        return false;
    }

    private InputStream open(StreamStateHandle stream) throws IOException {
        Optional<byte[]> bytes = stream.asBytesIfInMemory();
        return bytes.isPresent()
                ? new ByteArrayInputStream(bytes.get())
                : new BufferedInputStream(Files.newInputStream(file(stream)), BUFFER_BYTES);
    }

    private Path file(StreamStateHandle stream) {
        if (stream instanceof RelativeFileStateHandle relative) {
            return folder.resolve(relative.getRelativePath());
        }
        return stream.maybeGetPath().map(path -> folder.resolve(path.getName())).orElse(null);
    }

    private static String text(Optional<String> text) {
        return text.filter(found -> !found.isEmpty()).orElse(null);
    }
}
