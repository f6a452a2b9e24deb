//! OpenGL: GStreamer's library requires these functions to exist, but gets no device from them.

use super::unsupported;

unsupported! {
    cuGraphicsMapResources cuGraphicsUnmapResources cuGraphicsUnregisterResource cuGraphicsGLRegisterImage
    cuGraphicsGLRegisterBuffer cuGLGetDevices_v2 cuGraphicsResourceSetMapFlags_v2 cuGraphicsSubResourceGetMappedArray
    cuGraphicsResourceGetMappedPointer_v2
}
