import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** Pools that rest, one thread that waits to be notified, and a main thread that waits for ever: nothing is wrong. */
public class Resting {
    public static void main(String[] args) throws Exception {
        ThreadPoolExecutor pool = new ThreadPoolExecutor(8, 8, 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
        pool.prestartAllCoreThreads();
        ScheduledThreadPoolExecutor later = new ScheduledThreadPoolExecutor(2);
        later.schedule(() -> System.out.println("late"), 24, TimeUnit.HOURS);
        ForkJoinPool.commonPool().submit(() -> 1).get();
        Object mail = new Object();
        Thread reader = new Thread(() -> {
            synchronized (mail) {
                try {
                    mail.wait();
                } catch (InterruptedException error) {
                    return;
                }
            }
        }, "reader");
        reader.start();
        while (reader.getState() != Thread.State.WAITING) {
            Thread.sleep(1);
        }
        System.out.println("ready");
        new CountDownLatch(1).await();
    }
}
