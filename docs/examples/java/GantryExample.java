// A test in Java against a real archive: Gantry's image in a container, DICOMweb over java.net.http.
//
//     mvn -q compile exec:java -Dexec.args="gantry:dev image.dcm"
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.containers.wait.strategy.Wait;
import org.testcontainers.images.builder.Transferable;
import org.testcontainers.utility.DockerImageName;

public class GantryExample {
    private static final String TOKEN = "a-token-of-this-test-only";

    public static void main(String[] arguments) throws Exception {
        byte[] object = Files.readAllBytes(Path.of(arguments[1]));
        try (GenericContainer<?> gantry = new GenericContainer<>(DockerImageName.parse(arguments[0]))
                .withExposedPorts(11112, 8080)
                // Who may ask over HTTP: a name and a token in each line.
                .withCopyToContainer(Transferable.of("test:" + TOKEN + "\n"), "/etc/gantry/tokens")
                .withEnv("GANTRY_HTTP__TOKENS_FILE", "/etc/gantry/tokens")
                .waitingFor(Wait.forHttp("/readyz").forPort(8080))) {
            gantry.start();
            String base = "http://" + gantry.getHost() + ":" + gantry.getMappedPort(8080) + "/dicom-web/studies";
            HttpClient client = HttpClient.newHttpClient();

            HttpResponse<String> stored = client.send(request(base)
                    .header("Content-Type", "multipart/related; type=\"application/dicom\"; boundary=part")
                    .header("Accept", "application/dicom+json")
                    .POST(HttpRequest.BodyPublishers.ofByteArray(multipart(object))).build(),
                    HttpResponse.BodyHandlers.ofString());
            check(stored.statusCode() == 200, "STOW-RS answered " + stored.statusCode() + ": " + stored.body());

            // What is stored is searchable a moment later.
            String found = "[]";
            for (int attempt = 0; attempt < 100 && found.equals("[]"); attempt++) {
                found = client.send(request(base + "?includefield=PatientID")
                        .header("Accept", "application/dicom+json").GET().build(),
                        HttpResponse.BodyHandlers.ofString()).body();
                Thread.sleep(100);
            }
            check(!found.equals("[]"), "the study was not found");
            System.out.println("found: " + found);
        }
    }

    private static HttpRequest.Builder request(String url) {
        return HttpRequest.newBuilder(URI.create(url)).header("Authorization", "Bearer " + TOKEN);
    }

    private static byte[] multipart(byte[] object) throws Exception {
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        body.write("--part\r\nContent-Type: application/dicom\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
        body.write(object);
        body.write("\r\n--part--\r\n".getBytes(StandardCharsets.US_ASCII));
        return body.toByteArray();
    }

    private static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }
}
