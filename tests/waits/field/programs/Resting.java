import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Pools that rest, one thread that waits to be notified, and a main thread that waits for ever: nothing is wrong.
 * With an argument two more threads, each with a lock that the other one waits for: one a monitor, one of a library.
 */
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
        if (args.length > 0) {
            deadlock();
        }
        System.out.println("ready");
        new CountDownLatch(1).await();
    }

    static void deadlock() throws InterruptedException {
        Object monitor = new Object();
        ReentrantLock lock = new ReentrantLock();
        CountDownLatch both = new CountDownLatch(2);
        Thread first = new Thread(() -> {
            synchronized (monitor) {
                both.countDown();
                while (both.getCount() > 0) {
                    Thread.onSpinWait();
                }
                lock.lock();
            }
        }, "first");
        Thread second = new Thread(() -> {
            lock.lock();
            both.countDown();
            while (both.getCount() > 0) {
                Thread.onSpinWait();
            }
            synchronized (monitor) {
                System.out.println("never");
            }
        }, "second");
        first.start();
        second.start();
        while (first.getState() != Thread.State.WAITING || second.getState() != Thread.State.BLOCKED) {
            Thread.sleep(1);
        }
    }
}
