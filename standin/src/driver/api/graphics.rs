//! OpenGL: GStreamer's library wants the functions, and gets no device for them.

use super::unsupported;

unsupported! {
    cuGraphicsMapResources cuGraphicsUnmapResources cuGraphicsUnregisterResource cuGraphicsGLRegisterImage
    cuGraphicsGLRegisterBuffer cuGLGetDevices_v2 cuGraphicsResourceSetMapFlags_v2 cuGraphicsSubResourceGetMappedArray
    cuGraphicsResourceGetMappedPointer_v2
}
