package oxmq.compat.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.DataInputStream;
import java.io.IOException;
import java.net.Socket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import oxmq.compat.support.ClientTest;
import oxmq.compat.support.Env;
import oxmq.compat.support.Fork;
import oxmq.compat.support.RoundTrip;
import oxmq.compat.support.Wire;

/** Header serializations and TLS, each in a client process of its own, against the same plain configuration. */
class TransportTest extends ClientTest {
    @ParameterizedTest
    @CsvSource({"JSON,false", "ROCKETMQ,false", "JSON,true", "ROCKETMQ,true"})
    void roundTrip(String serializeType, boolean tls) {
        String topic = Env.unique("Transport");
        cluster().topic(topic, 2);
        List<String> options = new ArrayList<>(List.of("-Drocketmq.serialize.type=" + serializeType, "-Dtls.enable=" + tls,
            // The self-signed certificate of a default server is accepted by default clients.
            "-Dtls.config.file=/nonexistent/tls.properties"));
        try (Fork fork = new Fork(RoundTrip.class, null, options, cluster().namesrvAddr(), topic)) {
            assertEquals("ok", fork.line(Duration.ofSeconds(120)));
            assertEquals(0, fork.exit(SOON));
        }
    }

    @Test
    void theVipChannelIsTheFastPort() {
        String topic = Env.unique("Vip");
        cluster().topic(topic, 2);
        try (Fork fork = new Fork(RoundTrip.class, null, List.of("-Dcom.rocketmq.sendMessageWithVIPChannel=true"),
            cluster().namesrvAddr(), topic)) {
            assertEquals("ok", fork.line(Duration.ofSeconds(120)));
        }
    }

    /** A frame beyond the limit ends its connection, not the server. */
    @Test
    void anOversizedFrameEndsItsConnection() throws Exception {
        for (String address : List.of(cluster().broker().address(), cluster().namesrv().address())) {
            for (byte[] start : new byte[][] {{0x7f, 0, 0, 0, 0, 0, 0, 0, 1}, {0, 0, 0, 8, 0, (byte) 0xff, (byte) 0xff, (byte) 0xff, 1, 2, 3, 4}}) {
                try (Socket socket = new Socket("127.0.0.1", Integer.parseInt(address.split(":")[1]))) {
                    socket.setSoTimeout(10_000);
                    socket.getOutputStream().write(start);
                    socket.getOutputStream().flush();
                    assertThrows(IOException.class, () -> {
                        DataInputStream in = new DataInputStream(socket.getInputStream());
                        in.readByte();
                    });
                }
            }
            assertEquals(3, Wire.ask(address, 9999, Wire.ext(), new byte[0]).code());
        }
    }
}
