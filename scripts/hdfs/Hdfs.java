import java.io.File;
import java.util.concurrent.CountDownLatch;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** A NameNode on a port of this machine and a DataNode, with their files in a folder: FOLDER PORT. */
public class Hdfs {
  public static void main(String[] arguments) throws Exception {
    Configuration conf = new HdfsConfiguration();
    conf.setBoolean("dfs.permissions.enabled", false);
    conf.setBoolean("dfs.namenode.edits.asynclogging", false);
    new MiniDFSCluster.Builder(conf, new File(arguments[0]))
        .nameNodePort(Integer.parseInt(arguments[1]))
        .numDataNodes(1)
        .build()
        .waitActive();
    System.out.println("ready");
    new CountDownLatch(1).await();
  }
}
