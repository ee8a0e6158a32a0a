import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** A pool of two threads that ask a server, which never answers; the main thread waits for what they bring. */
public class Pool {
    public static void main(String[] args) throws Exception {
        CountDownLatch sent = new CountDownLatch(2);
        ExecutorService pool = Executors.newFixedThreadPool(2);
        List<Future<Integer>> results = new ArrayList<>();
        for (int n = 0; n < 2; n++) {
            results.add(pool.submit(() -> {
                Socket socket = new Socket(args[0], Integer.parseInt(args[1]));
                socket.getOutputStream().write("request".getBytes());
                sent.countDown();
                return socket.getInputStream().read();
            }));
        }
        sent.await();
        System.out.println("ready");
        for (Future<Integer> result : results) {
            result.get();
        }
    }
}
