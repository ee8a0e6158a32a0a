import java.net.InetAddress;
import java.net.ServerSocket;

/** A server that waits for its first client. */
public class Listener {
    public static void main(String[] args) throws Exception {
        ServerSocket server = new ServerSocket(0, 5, InetAddress.getByName(args[0]));
        System.out.println("ready");
        server.accept();
    }
}
