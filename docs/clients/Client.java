import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.concurrent.ThreadLocalRandom;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * A WXRC client for Java 11 or later, with nothing but the JDK.
 *
 * <pre>
 * java Client.java BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]     call an interface and print the answer
 * java Client.java sign INTERFACE KEY < TEXT                          print the signature of a text
 * java Client.java verify SECRET ID TIMESTAMP SIGNATURES < BODY       end with 0 if a callback is genuine, else with 1
 * </pre>
 *
 * Every call takes a new txcode, unless TXCODE names one, and ends after TOTAL_S seconds (60).
 */
public final class Client {
    private static final Duration TRY = Duration.ofSeconds(30);
    private static final long TOLERANCE_S = 300;

    // Follows no redirects. By default it would ask every plain-HTTP server to switch to HTTP/2, over which proxies stumble.
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final String base;
    private final String chid;
    private final String key;
    private final Duration total;

    public Client(String base, String chid, String key, Duration total) {
        this.base = base.replaceAll("/+$", "");
        this.chid = chid;
        this.key = key;
        this.total = total;
    }

    /** HMAC-SHA256-V2: the interface's name, a line feed and the text, under the channel's KEY. */
    public static String sign(String name, byte[] text, String key) {
        return hex(hmacSha256(utf8(key), utf8(name + "\n"), text));
    }

    /**
     * Calls an interface and returns the answer's text.
     *
     * <p>When the answer is lost, or the gateway is busy, the very same bytes are sent again: with the same txcode it is done once.
     *
     * @param body reqBody, as JSON
     * @param txcode the serial number; null takes a new one
     */
    public String call(String botcode, String name, String body, String txcode) throws IOException, InterruptedException {
        byte[] random = new byte[10];
        new SecureRandom().nextBytes(random);
        String code = txcode != null ? txcode : hex(random);
        String head = String.format("{\"chid\":%s,\"botcode\":%s,\"txcode\":%s,\"txtime\":\"%d\"}",
            quoted(chid), quoted(botcode), quoted(code), System.currentTimeMillis());
        byte[] text = utf8("{\"reqHead\":" + head + ",\"reqBody\":" + body + "}"); // what is signed is what is sent, byte for byte
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + "/api/" + name))
            .header("Content-Type", "application/json")
            .header("X-Ecaspsplus-SignatureType", "HMAC-SHA256-V2")
            .header("X-Ecaspsplus-Signature", sign(name, text, key))
            .POST(HttpRequest.BodyPublishers.ofByteArray(text));
        Instant until = Instant.now().plus(total);
        for (long wait = 200; ; wait = Math.min(wait * 2, 5_000)) {
            String why;
            long after = 0;
            try {
                long left = Math.max(1, Duration.between(Instant.now(), until).toMillis());
                request.timeout(Duration.ofMillis(Math.min(TRY.toMillis(), left)));
                HttpResponse<String> answer =
                    http.send(request.build(), HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
                int status = answer.statusCode();
                if (status == 200) {
                    return answer.body();
                }
                why = "HTTP " + status + ": " + answer.body();
                if (status != 408 && status != 429 && status < 500) {
                    throw new IllegalStateException(why);
                }
                after = answer.headers().firstValue("Retry-After").filter(each -> each.matches("\\d{1,9}")).map(Long::valueOf).orElse(0L);
            } catch (IOException error) {
                why = String.valueOf(error.getMessage() != null ? error.getMessage() : error);
            }
            long pause = after * 1000 + (long) (wait * ThreadLocalRandom.current().nextDouble(0.5, 1.0));
            if (Instant.now().plusMillis(pause).isAfter(until)) {
                throw new IOException("no answer (" + why + "); it may have been accepted: repeat it with TXCODE=" + code);
            }
            Thread.sleep(pause);
        }
    }

    /**
     * Tells whether a callback is genuine and not an old one.
     *
     * @param signatures the header webhook-signature
     * @param body the bytes as they came
     */
    public static boolean verify(String secret, String id, String timestamp, String signatures, byte[] body) {
        if (!timestamp.matches("\\d{1,12}") || Math.abs(Instant.now().getEpochSecond() - Long.parseLong(timestamp)) > TOLERANCE_S) {
            return false;
        }
        byte[] secretKey = Base64.getDecoder().decode(secret.replaceFirst("^whsec_", ""));
        byte[] right = utf8("v1," + Base64.getEncoder().encodeToString(hmacSha256(secretKey, utf8(id + "." + timestamp + "."), body)));
        boolean genuine = false;
        for (String each : signatures.split(" ")) {
            genuine |= MessageDigest.isEqual(right, utf8(each));
        }
        return genuine;
    }

    private static byte[] hmacSha256(byte[] key, byte[]... parts) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            for (byte[] part : parts) {
                mac.update(part);
            }
            return mac.doFinal();
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error); // every JDK has HmacSHA256
        }
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte each : bytes) {
            text.append(String.format("%02x", each));
        }
        return text.toString();
    }

    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    public static void main(String[] values) throws IOException, InterruptedException {
        if (values.length == 3 && values[0].equals("sign")) {
            System.out.println(sign(values[1], System.in.readAllBytes(), values[2]));
            return;
        }
        if (values.length == 5 && values[0].equals("verify")) {
            System.exit(verify(values[1], values[2], values[3], values[4], System.in.readAllBytes()) ? 0 : 1);
        }
        if (values.length < 5 || values.length > 6) {
            System.err.println("usage: java Client.java BASE CHID KEY BOTCODE INTERFACE [REQBODY_JSON]");
            System.exit(2);
        }
        String seconds = System.getenv("TOTAL_S");
        Duration total = Duration.ofSeconds(seconds != null ? Long.parseLong(seconds) : 60);
        try {
            Client client = new Client(values[0], values[1], values[2], total);
            String answer = client.call(values[3], values[4], values.length == 6 ? values[5] : "{}", System.getenv("TXCODE"));
            new PrintStream(System.out, true, StandardCharsets.UTF_8).println(answer);
        } catch (IOException | IllegalStateException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }
}
