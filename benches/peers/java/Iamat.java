// An IAMAT server on Java's NIO: one thread, one selector.
//
//     javac Iamat.java && java Iamat PORT     (0: any; it says which)

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The server: what it knows, and its one thread. */
public final class Iamat {
    private static final String NAME = "Goloman";
    /** The longest line; who sends more without an end of line is left. */
    private static final int LIMIT = 4096;
    private static final int READ = 64 * 1024;
    private static final int BACKLOG = 4096;
    /** Bytes are held as Latin-1 text; here `\s` and `\d` are of ASCII alone. */
    private static final Pattern IAMAT = Pattern.compile(
            "IAMAT\\s+(\\S{1,255})"
                    + "\\s+(([+-]\\d+(?:\\.\\d*)?)([+-]\\d+(?:\\.\\d*)?)/?)"
                    + "\\s+((-?)(\\d{1,18})(?:\\.(\\d{0,9}))?)");

    /** What a client said last: when (since 1970), and as an AT line. */
    private record Report(Duration time, byte[] line) {}

    private final Map<String, Report> reports = new HashMap<>();
    private final ByteBuffer received = ByteBuffer.allocateDirect(READ);
    private final ByteArrayOutputStream answers = new ByteArrayOutputStream();

    public static void main(String[] arguments) throws IOException {
        new Iamat().serve(Integer.parseInt(arguments[0]));
    }

    private void serve(int port) throws IOException {
        Selector selector = Selector.open();
        ServerSocketChannel listener = ServerSocketChannel.open();
        listener.configureBlocking(false);
        listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), BACKLOG);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        System.out.println("listening on " + listener.socket().getLocalPort());
        while (true) {
            selector.select(key -> {
                if (key.attachment() instanceof Session session) {
                    session.ready();
                } else {
                    greet(listener, selector);
                }
            });
        }
    }

    private void greet(ServerSocketChannel listener, Selector selector) {
        try {
            for (SocketChannel channel; (channel = listener.accept()) != null; ) {
                channel.configureBlocking(false);
                channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
                SelectionKey key = channel.register(selector, SelectionKey.OP_READ);
                key.attach(new Session(channel, key));
            }
        } catch (IOException gone) {
            // It left before it was greeted.
        }
    }

    /** Appends to `answers` what to say to this line; nothing to one of white space alone. */
    private void answer(byte[] bytes, int from, int to) {
        while (from < to && isSpace(bytes[from])) {
            from++;
        }
        while (from < to && isSpace(bytes[to - 1])) {
            to--;
        }
        if (from == to) {
            return;
        }
        String line = new String(bytes, from, to - from, StandardCharsets.ISO_8859_1);
        Matcher match = IAMAT.matcher(line);
        if (!match.matches() || isBeyond(match.group(3), 90) || isBeyond(match.group(4), 180)) {
            answers.writeBytes(latin1("? " + line + "\n"));
            return;
        }
        Duration distance = Duration.ofSeconds(Long.parseLong(match.group(7)), nanos(match.group(8)));
        Duration time = match.group(6).isEmpty() ? distance : distance.negated();
        Instant now = Instant.now();
        Duration difference = Duration.ofSeconds(now.getEpochSecond(), now.getNano()).minus(time);
        byte[] report = latin1("AT " + NAME + " " + written(difference) + " " + match.group(1) + " "
                + match.group(2) + " " + match.group(5) + "\n");
        Report known = reports.get(match.group(1));
        if (known == null || known.time().compareTo(time) < 0) {
            reports.put(match.group(1), new Report(time, report));
        }
        answers.writeBytes(report);
    }

    private static boolean isSpace(byte one) {
        return one == ' ' || one >= '\t' && one <= '\r';
    }

    private static boolean isBeyond(String degrees, int limit) {
        return Math.abs(Double.parseDouble(degrees)) > limit;
    }

    /** Decimals of a second as nanoseconds. */
    private static int nanos(String decimals) {
        return decimals == null ? 0 : Integer.parseInt((decimals + "000000000").substring(0, 9));
    }

    /** Seconds with a sign and nine decimals. */
    private static String written(Duration difference) {
        Duration distance = difference.abs();
        String nanos = Integer.toString(1_000_000_000 + distance.getNano()).substring(1);
        return (difference.isNegative() ? "-" : "+") + distance.getSeconds() + "." + nanos;
    }

    private static byte[] latin1(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    /** Serves one client: all lines of one receipt are answered by one write. */
    private final class Session {
        private final SocketChannel channel;
        private final SelectionKey key;
        private byte[] begun = NOTHING;
        /** What the socket has not taken yet; meanwhile nothing is read. */
        private ByteBuffer kept = EMPTY;
        private boolean isLeaving;

        Session(SocketChannel channel, SelectionKey key) {
            this.channel = channel;
            this.key = key;
        }

        void ready() {
            try {
                if (key.isReadable()) {
                    read();
                }
                write();
            } catch (IOException gone) {
                close();
            }
        }

        private void read() throws IOException {
            received.clear();
            int count = channel.read(received);
            answers.reset();
            if (count < 0) {
                // A last line without an end still counts.
                answer(begun, 0, begun.length);
                isLeaving = true;
            } else {
                byte[] bytes = new byte[begun.length + count];
                System.arraycopy(begun, 0, bytes, 0, begun.length);
                received.flip().get(bytes, begun.length, count);
                int start = 0;
                for (int at = begun.length; at < bytes.length; at++) {
                    if (bytes[at] == '\n') {
                        answer(bytes, start, at);
                        start = at + 1;
                    }
                }
                begun = start == bytes.length ? NOTHING : Arrays.copyOfRange(bytes, start, bytes.length);
                isLeaving = begun.length > LIMIT;
            }
            kept = ByteBuffer.wrap(answers.toByteArray());
        }

        private void write() throws IOException {
            if (kept.hasRemaining()) {
                channel.write(kept);
            }
            if (kept.hasRemaining()) {
                key.interestOps(SelectionKey.OP_WRITE);
                return;
            }
            kept = EMPTY;
            if (isLeaving) {
                close();
            } else if (key.interestOps() != SelectionKey.OP_READ) {
                key.interestOps(SelectionKey.OP_READ);
            }
        }

        private void close() {
            try {
                channel.close();
            } catch (IOException gone) {
                // It is closed all the same.
            }
        }
    }

    private static final byte[] NOTHING = {};
    private static final ByteBuffer EMPTY = ByteBuffer.wrap(NOTHING);
}
