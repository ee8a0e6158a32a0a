import java.util.concurrent.CountDownLatch;

/** Two threads, each with a monitor that the other one waits for. */
public class Monitors {
    public static void main(String[] args) throws Exception {
        Object one = new Object(), other = new Object();
        CountDownLatch both = new CountDownLatch(2);
        Thread first = new Thread(() -> take(one, other, both), "first");
        Thread second = new Thread(() -> take(other, one, both), "second");
        first.start();
        second.start();
        while (first.getState() != Thread.State.BLOCKED || second.getState() != Thread.State.BLOCKED) {
            Thread.sleep(1);
        }
        System.out.println("ready");
        first.join();
    }

    static void take(Object mine, Object theirs, CountDownLatch both) {
        synchronized (mine) {
            both.countDown();
            try {
                both.await();
            } catch (InterruptedException error) {
                return;
            }
            synchronized (theirs) {
                System.out.println("never");
            }
        }
    }
}
