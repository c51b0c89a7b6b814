import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;

import org.apache.flink.core.execution.JobClient;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

/** What a job's checkpoints take, as Flink tells it over REST; asked for as long as the job runs. */
final class Checkpoints {
    /** Where Flink's server listens; it is one of its options. */
    static final int PORT = 18_681;

    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static final ObjectMapper MAPPER = new ObjectMapper();

    /** Waits for the end of the job, and tells of the checkpoints that were completed. */
    static void tell(JobClient job) throws Exception {
        String path = "/jobs/" + job.getJobID();
        Map<Long, double[]> seen = new TreeMap<>();
        CompletableFuture<?> end = job.getJobExecutionResult();
        while (!end.isDone()) {
            try {
                look(path, seen);
            } catch (IOException gone) {
                // The server has ended with the job.
                break;
            }
            Thread.sleep(200);
        }
        end.get();
        String[] figures = {"duration_ms", "written_mib", "pause_ms"};
        for (int index = 0; index < figures.length; index++) {
            int which = index;
            double[] sorted = seen.values().stream().mapToDouble(own -> own[which]).sorted().toArray();
            System.out.println("figure " + figures[index] + " " + sorted[sorted.length / 2]);
        }
    }

    private static void look(String path, Map<Long, double[]> seen) throws IOException, InterruptedException {
        for (JsonNode checkpoint : get(path + "/checkpoints").path("history")) {
            long number = checkpoint.path("id").asLong();
            if (!checkpoint.path("status").asText().equals("COMPLETED") || seen.containsKey(number)) {
                continue;
            }
            double pause = 0;
            for (JsonNode vertex : get(path).path("vertices")) {
                JsonNode details = get(path + "/checkpoints/details/" + number + "/subtasks/"
                        + vertex.path("id").asText());
                for (JsonNode subtask : details.path("subtasks")) {
                    pause = Math.max(pause, subtask.path("checkpoint").path("sync").asDouble());
                }
            }
            double[] own = {
                checkpoint.path("end_to_end_duration").asDouble(),
                checkpoint.path("checkpointed_size").asDouble() / (1 << 20),
                pause,
            };
            seen.put(number, own);
        }
    }

    private static JsonNode get(String path) throws IOException, InterruptedException {
        URI address = URI.create("http://localhost:" + PORT + path);
        return MAPPER.readTree(CLIENT.send(
                HttpRequest.newBuilder(address).build(), HttpResponse.BodyHandlers.ofString()).body());
    }

    private Checkpoints() {}
}
